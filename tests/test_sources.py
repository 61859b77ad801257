"""Texts written from a source: read, never predicted, whatever the padding; and beam search."""

from __future__ import annotations

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import run_command

import flaxchar
from flaxchar import Config, InputError, ModelConfig, TextBatches, init_params, pad_texts
from flaxchar.data.cache import load_encoded
from flaxchar.data.corpus import read_again
from flaxchar.data.examples import Example
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
    examples = [Example(short, source=long) for long, short in ROWS]
    predicted = corpus.vocabulary.predicted_characters(examples, bos=False)
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
    exchanged = corpus.vocabulary.encode_examples(
        [Example(short, source=ROWS[(k + 1) % len(ROWS)][0]) for k, (_, short) in enumerate(ROWS)]
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


@pytest.mark.slow
def test_the_source_is_used(table, tmp_path):
    path = tmp_path / "run"
    what = ("--data", table, "--source-field", "long", "--target-field", "short", "--workdir", str(path))
    result = run_command("train.py", *what, "--steps", "400", "--hidden", "48", "--buckets", "1", "--dropout", "0")
    assert result.returncode == 0, result.stderr
    own, others = (float(line.split()[0]) for line in result.stdout.splitlines() if "this model" in line)
    assert own < 0.5  # without the source: log2(5) bits for three characters of four
    assert others > 2.0
    assert f'sample.py --workdir {path} --temperature 0.8 --source "A SOURCE"\n' in result.stdout
    lm = flaxchar.load(path)
    assert lm.generate(source="cat dog bee", temperature=0.0) == ["cdb"]
    written = run_command("sample.py", "--source", "elk ant cat", "--beam", "4", "--workdir", str(path))
    assert written.stdout == "eac\n"
    assert set(read_again(lm.config).train.texts) <= {short for _, short in ROWS}  # what --novel leaves out
    searched = run_command("novelty", "--workdir", str(path), "--num-samples", "20")
    assert searched.returncode == 0, searched.stderr
    assert f"20 samples compared with {len(read_again(lm.config).train)} training texts" in searched.stdout
    scored = run_command("score", table, "--source-field", "long", "--fields", "short", "--workdir", str(path))
    assert scored.returncode == 0, scored.stderr
    example = flaxchar.Example(ROWS[0][1], source=ROWS[0][0])
    assert float(scored.stdout.split()[0]) == pytest.approx(lm.score([example])[0], abs=1e-3)
    with pytest.raises(InputError, match="`source`"):
        lm.generate()
    with pytest.raises(InputError, match="source"):
        lm.score(["cdb"])


def test_a_source_for_a_model_without_is_an_error():
    lm = flaxchar.train(["ab", "ba"], steps=1, hidden=4)
    with pytest.raises(InputError, match="trained without sources"):
        lm.generate(source="a")
