"""Texts written from a source: read, never predicted, whatever the padding; and beam search."""

from __future__ import annotations

import csv
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import run_command

import flaxchar
from flaxchar import CharLM, Config, InputError, ModelConfig, TextBatches, Vocabulary, init_params, pad_texts
from flaxchar.commands.sample import training_texts
from flaxchar.data.cache import load_encoded
from flaxchar.data.vocabulary import SOURCE_END
from flaxchar.generation.beam import beam_search
from flaxchar.models.charlm import make_model
from flaxchar.models.evaluation import score_batch

RNG = np.random.default_rng(0)
# A text is the first letter of each word of its source.
WORDS = ["ant", "bee", "cat", "dog", "elk"]
ROWS = [(" ".join(some), "".join(word[0] for word in some)) for some in (RNG.choice(WORDS, 3) for _ in range(400))]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("long", "short"), *ROWS])
    return str(path)


def test_only_what_follows_the_source_is_predicted(table):
    config = Config().replace(data=(table,), fields=("short",), source_field="long", val_fraction=0)
    corpus, config = load_encoded(config)
    predicted = corpus.vocabulary.predicted_characters([long + SOURCE_END + short for long, short in ROWS], bos=False)
    assert predicted == sum(len(short) + 1 for _, short in ROWS)
    assert corpus.train.sources.tolist() == [len(long) + 1 for long, _ in ROWS]
    assert corpus.train.mean_length == np.mean([len(short) for _, short in ROWS])
    end, eos = corpus.vocabulary.source_end, corpus.vocabulary.eos
    batch = pad_texts([corpus.train[0]], 2, 40, eos, config.data.bos, end)
    long, short = ROWS[0]
    expected = np.append(corpus.vocabulary.encode(short), eos)
    assert batch.targets[batch.mask].tolist() == expected.tolist()
    assert batch.inputs[0, len(long)] == end


def test_exchanged_texts_follow_the_source_of_another(table):
    config = Config().replace(data=(table,), fields=("short",), source_field="long", val_fraction=0)
    corpus, _ = load_encoded(config)
    exchanged = corpus.vocabulary.encode_texts(
        [ROWS[(k + 1) % len(ROWS)][0] + SOURCE_END + short for k, (_, short) in enumerate(ROWS)]
    )[0]
    found = corpus.train.exchanged()
    np.testing.assert_array_equal(found.ids, exchanged.ids)
    np.testing.assert_array_equal(found.offsets, exchanged.offsets)
    assert found.source_end == corpus.vocabulary.source_end


def test_in_training_the_source_is_learned_too(table):
    config = Config().replace(data=(table,), fields=("short",), source_field="long", val_fraction=0)
    corpus, config = load_encoded(config)
    batches = TextBatches(corpus.train, 400, corpus.vocabulary.eos, config.data.bos, buckets=1)
    batch = batches.batch(0)
    assert batch.mask.sum() == sum(len(long) + len(short) + 1 for long, short in ROWS)  # all but the first, and an end
    assert corpus.train_characters == batch.mask.sum()


@pytest.fixture(scope="module")
def reader(table):
    """A model that uses its sources in each way that it does not before it is trained, and the corpus."""
    corpus, _ = load_encoded(Config().replace(data=(table,), fields=("short",), source_field="long", val_fraction=0))
    model = make_model(corpus.vocabulary, ModelConfig(hidden=8, embedding=4))
    params = init_params(model, jax.random.key(0))
    learned = {name: jax.random.normal(jax.random.key(1), params[name].shape) for name in ("found", "writing")}
    assert not any(params[name].any() for name in (*learned, "coverage"))
    return model, {**params, **learned, "coverage": jnp.float32(2)}, corpus


def test_steps_one_by_one_give_the_logits_of_the_whole(reader):
    model, params, corpus = reader
    ids = pad_texts([corpus.train[k] for k in range(3)], 3, 30, corpus.vocabulary.eos, False).inputs
    whole, _ = model.apply({"params": params}, ids)
    carry = model.initial_step_carry(3, 16)
    for t in range(ids.shape[1]):
        logits, carry = model.apply({"params": params}, ids[:, t], carry, method="step")
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
    for name in ("found", "writing", "coverage"):
        without, _ = model.apply({"params": {**params, name: jnp.zeros_like(params[name])}}, ids)
        assert abs(without - whole).max() > 0.02, name


def test_padding_further_changes_nothing(reader):
    model, params, corpus = reader
    texts, eos, end = [corpus.train[k] for k in range(3)], corpus.vocabulary.eos, corpus.vocabulary.source_end
    tight, far = (pad_texts(texts, rows, width, eos, False, end) for rows, width in ((3, 16), (5, 40)))
    one, other = (score_batch(model, params, model.initial_carry(len(b.inputs)), b)[0] for b in (tight, far))
    np.testing.assert_allclose(one.nats, other.nats[:3], rtol=1e-5)
    assert other.nats[3:].tolist() == [0, 0]


def test_the_source_is_used(table, tmp_path):
    path = tmp_path / "run"
    what = ("--data", table, "--source-field", "long", "--target-field", "short", "--workdir", str(path))
    result = run_command("train.py", *what, "--steps", "400", "--hidden", "48", "--buckets", "1", "--dropout", "0")
    assert result.returncode == 0, result.stderr
    own, others = (float(line.split()[0]) for line in result.stdout.splitlines() if "this model" in line)
    assert own < 0.5  # without the source: log2(5) bits for three characters of four
    assert others > 2.0
    lm = flaxchar.load(path)
    assert lm.generate(source="cat dog bee", temperature=0.0) == ["cdb"]
    written = run_command("sample.py", "--source", "elk ant cat", "--beam", "4", "--workdir", str(path))
    assert written.stdout == "eac\n"
    assert set(training_texts(lm)) <= {short for _, short in ROWS}  # what --novel leaves out
    refused = run_command("novelty", "--workdir", str(path))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "nothing tells that of these texts" in refused.stderr
    with pytest.raises(InputError, match="--source"):
        lm.generate()
    with pytest.raises(InputError, match="source"):
        lm.score(["cdb"])


def test_a_source_for_a_model_without_is_an_error():
    lm = flaxchar.train(["ab", "ba"], steps=1, hidden=4)
    with pytest.raises(InputError, match="--source-field"):
        lm.generate(source="a")


@pytest.fixture(scope="module")
def tiny():
    model = CharLM(5, ModelConfig(hidden=6))
    params = init_params(model, jax.random.key(2))
    params["logits"]["kernel"] = params["logits"]["kernel"] * 6
    return model, params, Vocabulary(tuple("abc"))


def log_probability(tiny, text):
    """Of a text and its end, by the model's logits for the whole."""
    model, params, vocabulary = tiny
    ids = [vocabulary.eos, *text, vocabulary.eos]
    logits, _ = model.apply({"params": params}, jnp.array([ids[:-1]]))
    return sum(float(jax.nn.log_softmax(logits)[0, k, token]) for k, token in enumerate(ids[1:]))


def test_a_wide_beam_finds_the_likeliest_text_there_is(tiny):
    size = 4
    everything = [text for n in range(size) for text in itertools.product((1, 2, 3), repeat=n)]
    best = max(everything, key=lambda text: log_probability(tiny, text) / (len(text) + 1))
    text, total = beam_search(*tiny, np.empty(0, np.int32), beams=3**size, size=size)
    assert tuple(text) == best
    assert total == pytest.approx(log_probability(tiny, best), abs=1e-4)


def test_more_beams_are_never_worse_than_greedy_and_respect_the_size(tiny):
    greedy, wide = (beam_search(*tiny, np.array([1], np.int32), beams, size=6) for beams in (1, 8))
    mean = [total / (len(text) + 1) for text, total in (greedy, wide)]
    assert mean[1] >= mean[0] - 1e-6
    assert all(len(text) <= 5 for text, _ in (greedy, wide))
    with pytest.raises(InputError, match="--beam is 0"):
        beam_search(*tiny, np.empty(0, np.int32), 0)
