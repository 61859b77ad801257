"""Scores of texts, and texts coded by them: exact, there and back, and refused where they cannot be right."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
