"""Scores of texts, and texts coded by them: exact, there and back, and refused where they cannot be right."""

from __future__ import annotations

import json
import math

import jax
import numpy as np
import pytest
from helpers import run_command
from hypothesis import given, settings
from hypothesis import strategies as st

import flaxchar
from flaxchar import Config, InputError, LanguageModel, Vocabulary, init_params
from flaxchar.analysis.compression import Decoder, Encoder, compress, decompress
from flaxchar.analysis.score import score
from flaxchar.data.headlines import generate_headlines
from flaxchar.models.charlm import CharLM

TOTAL = 1 << 24


def make_model(texts, seed=0, **settings):
    """A model of fresh parameters, its logits made bolder so that they say something."""
    config = Config().replace(hidden=12, **settings)
    vocabulary = Vocabulary.build(texts, config.data.unit)
    params = init_params(CharLM(vocabulary.size, config.model), jax.random.key(seed))
    params["logits"]["kernel"] = params["logits"]["kernel"] * 8
    return LanguageModel(params, vocabulary, config)


KINDS = [{}, {"bos": False}, {"window": 16}, {"window": 16, "bos": False}, {"unit": "word"}, {"cell": "gru"}]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(map(str, kind.items())) or "default")
def lm(request):
    return make_model(["abc abd\n", "hello, world"], **request.param)


# -- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bos", [True, False])
def test_scores_of_separate_texts_are_those_of_the_library(bos):
    lm = make_model(["abcd", "hello"], bos=bos)
    texts = ["hell", "a", "lobed" * 20, "cab"]
    result = score(lm, texts)
    np.testing.assert_allclose(result.nats / math.log(2) / result.characters, lm.score(texts), rtol=1e-5)
    assert result.characters.tolist() == [len(text) + bos for text in texts]


def test_scores_of_running_text_are_those_of_the_whole_stream():
    lm = make_model(["abc\nabd\n"], window=16)
    lines = ["abc", "", "dab" * 15, "c"]
    result = score(lm, lines)
    ids = lm.vocabulary.encode("".join(line + "\n" for line in lines))
    logits, _ = lm.model.apply({"params": lm.params}, np.concatenate([[lm.vocabulary.eos], ids[:-1]])[None])
    nats = -np.asarray(jax.nn.log_softmax(logits))[0, np.arange(len(ids)), ids]
    ends = np.cumsum([len(line) + 1 for line in lines])
    np.testing.assert_allclose(np.cumsum(result.nats), np.cumsum(nats)[ends - 1], rtol=1e-5)
    assert result.characters.tolist() == [len(line) + 1 for line in lines]


@pytest.mark.parametrize("kind", [{}, {"window": 16}])
def test_a_model_that_adapts_learns_and_leaves_itself_as_it_was(kind):
    lm = make_model(["abcd\n"], **kind)
    before = jax.tree.map(np.array, lm.params)
    texts = ["abcdabcd"] * 200
    plain, adapted = score(lm, texts), score(lm, texts, adapt=True)
    assert adapted.bits_per_character < 0.8 * plain.bits_per_character
    jax.tree.map(np.testing.assert_array_equal, before, lm.params)
    if not kind:
        np.testing.assert_allclose(
            adapted.nats[:8], plain.nats[:8], rtol=1e-5
        )  # nothing is learned before it is scored


def test_what_the_model_has_never_seen_is_left_out_and_counted():
    result = score(make_model(["ab"]), ["aäb", "b"])
    assert dict(result.missing) == {"ä": 1}
    assert result.characters.tolist() == [3, 2]


# -- compression ------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_coder_gives_back_any_symbols_at_their_price(data):
    intervals = data.draw(st.lists(st.tuples(st.integers(0, TOTAL - 1), st.integers(1, TOTAL)), max_size=60))
    intervals = [(start, min(size, TOTAL - start)) for start, size in intervals]
    encoder = Encoder()
    for start, size in intervals:
        encoder.encode(start, size)
    coded = encoder.finish()
    decoder = Decoder(coded)
    for start, size in intervals:
        assert start <= decoder.target() < start + size
        decoder.take(start, size)
    bits = sum(math.log2(TOTAL / size) for _, size in intervals)
    assert 8 * len(coded) <= bits + 8 + 1e-4 * len(intervals) + 8


def test_carries_reach_through_what_is_written():
    encoder = Encoder()
    intervals = [(TOTAL - 1, 1)] * 40 + [(TOTAL // 2, TOTAL // 2)] + [(TOTAL - 1, 1)] * 3
    for start, size in intervals:
        encoder.encode(start, size)
    decoder = Decoder(encoder.finish())
    for start, size in intervals:
        assert start <= decoder.target() < start + size
        decoder.take(start, size)


@pytest.mark.parametrize(
    "text", ["", "a", "abc abd", "abc\n\nhello,\n", "\n", "Zoë 😀 \udcff \r\n\0 abc", "cab " * 3000], ids=repr
)
def test_any_text_is_restored(lm, text):
    coded = compress(lm, text)
    assert decompress(lm, coded) == text
    assert compress(lm, text) == coded


@pytest.mark.parametrize("kind", [{}, {"window": 32}])
def test_the_size_is_what_the_scores_say_to_a_hundredth(kind):
    texts = generate_headlines(600, seed=3)
    lm = make_model([text + "\n" for text in texts], **kind)
    expected = score(lm, texts).nats.sum() / math.log(2)
    assert 8 * len(compress(lm, "".join(text + "\n" for text in texts))) == pytest.approx(expected, rel=0.01)


def test_what_cannot_be_right_is_refused_by_name():
    lm = make_model(["abc"])
    coded = compress(lm, "abcabcabc" * 9)
    with pytest.raises(InputError, match=r"x.fc was made by another model"):
        decompress(make_model(["abc"], seed=1), coded, "x.fc")
    for at in (17, 25, len(coded) - 1):
        damaged = bytearray(coded)
        damaged[at] ^= 1
        with pytest.raises(InputError, match=r"x.fc (is damaged|cannot be restored)"):
            decompress(lm, bytes(damaged), "x.fc")
    with pytest.raises(InputError, match=r"x.fc is damaged"):
        decompress(lm, coded[:-2], "x.fc")
    with pytest.raises(InputError, match=r"x.fc was not made by flaxchar compress"):
        decompress(lm, b"PK\3\4", "x.fc")
    with pytest.raises(InputError, match=r"another version"):
        decompress(lm, b"flaxchar\x07" + coded[9:], "x.fc")


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a small trained run, and the file it learned from."""
    folder = tmp_path_factory.mktemp("scoring")
    data = folder / "texts.txt"
    data.write_text("".join(text + "\n" for text in generate_headlines(300, seed=4)))
    flaxchar_run = folder / "run"
    arguments = (
        "--data",
        str(data),
        "--steps",
        "30",
        "--hidden",
        "8",
        "--buckets",
        "1",
        "--workdir",
        str(flaxchar_run),
    )
    assert run_command("train.py", *arguments).returncode == 0
    return flaxchar_run, data


def test_score_prints_each_text_and_all(run):
    path, _ = run
    result = run_command("score", "--workdir", str(path), "--rank", stdin=b"Today\n^^^^^^^^\n")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "bits per character in all: 2 texts" in lines[-1]
    values = [float(line.split()[0]) for line in lines[:2]]
    assert values == sorted(values, reverse=True)
    lm = flaxchar.load(path)
    expected = {text: score(lm, [text]).bits_per_character for text in ("Today", "^^^^^^^^")}
    assert [line.split()[1] for line in lines[:2]] == sorted(expected, key=lambda text: -expected[text])
    assert values == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-3)
    assert "left out, for the model has never seen them: '^' (8 times)" in lines[-1]


def test_score_in_json_numbers_the_lines_of_the_file(run):
    result = run_command("score", "--workdir", str(run[0]), "--json", stdin=b"Today\n\nIraq\n")
    assert result.returncode == 0, result.stderr
    *lines, total = map(json.loads, result.stdout.splitlines())
    assert [(record["line"], record["text"]) for record in lines] == [(1, "Today"), (3, "Iraq")]
    assert total["texts"] == 2
    assert sum(record["bits"] for record in lines) == pytest.approx(total["bits"])


def test_a_file_is_compressed_and_restored_byte_for_byte(run, tmp_path):
    path, _ = run
    original = tmp_path / "a.bin"
    original.write_bytes(b"Today Iraq\r\nZo\xeb \xf0\x9f\x98\x80\n")
    for name, made in (("compress", "a.bin.flaxchar"), ("decompress", "a.bin")):
        if name == "decompress":
            kept = original.read_bytes()
            original.unlink()
        source = original if name == "compress" else tmp_path / "a.bin.flaxchar"
        result = run_command(name, str(source), "--workdir", str(path))
        assert result.returncode == 0, result.stderr
        assert made in result.stdout
    assert original.read_bytes() == kept
    again = run_command("decompress", str(tmp_path / "a.bin.flaxchar"), "--workdir", str(path))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert original.read_bytes() == kept


def test_novelty_tells_what_stands_in_the_training_texts(run):
    path, data = run
    result = run_command("novelty", "--workdir", str(path), "--num-samples", "20")
    assert result.returncode == 0, result.stderr
    assert "20 samples against 285 training texts" in result.stdout
    data.rename(data.with_suffix(".away"))
    gone = run_command("novelty", "--workdir", str(path))
    data.with_suffix(".away").rename(data)
    assert gone.returncode == 2
    assert len(gone.stderr.splitlines()) == 1
