"""Runs that begin with the weights of another."""

from __future__ import annotations

import shutil

import jax
import numpy as np
import pytest
from helpers import PALINDROMES

import flaxchar
from flaxchar import InputError
from flaxchar.training.initial import with_network
from flaxchar.training.run_directory import Run

SETTINGS = {"hidden": 8, "embedding": 4, "val_fraction": 0, "sample_prompts": ()}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run of a GRU on the palindromes."""
    path = tmp_path_factory.mktemp("runs") / "first"
    flaxchar.train(PALINDROMES * 3, workdir=path, steps=20, cell="gru", **SETTINGS)
    return path


def test_the_network_comes_from_the_other_run_and_contradictions_are_refused(first):
    settings = with_network({"init_from": str(first), "steps": 5})
    assert (settings["cell"], settings["hidden"], settings["embedding"], settings["steps"]) == ("gru", 8, 4, 5)
    assert with_network({"init_from": str(first), "hidden": 8})["hidden"] == 8
    assert with_network({"steps": 5}) == {"steps": 5}
    with pytest.raises(InputError, match=rf"`hidden` is 64, and the run in {first} has 8: .*leave out `hidden`"):
        with_network({"init_from": str(first), "hidden": 64})
    with pytest.raises(InputError, match="there is no folder"):
        with_network({"init_from": str(first) + "x"})


def test_a_preset_that_does_not_fit_the_network_gives_way(tmp_path):
    flaxchar.train(PALINDROMES, workdir=tmp_path / "a", steps=1, cell="mingru", hidden=8, embedding=0, dropout=0)
    settings = with_network({"init_from": str(tmp_path / "a")})
    flaxchar.PRESETS["classifier"].replace(**settings)
    assert (settings["input_dropout"], settings["recurrent_dropout"]) == (0.0, 0.0)


@pytest.mark.parametrize("texts", [PALINDROMES, pytest.param(["Zoé", "Noé", "Eve"] * 5, marks=pytest.mark.slow)])
def test_a_new_run_starts_where_the_other_one_ended(first, texts):
    """Before its first update, it gives texts of known characters the logits that the other run gives."""
    other = flaxchar.load(first)
    lm = flaxchar.train(texts, init_from=first, steps=1, learning_rate=1e-12, weight_decay=0, val_fraction=0)
    assert (lm.config.model.cell, lm.config.training.init_from) == ("gru", str(first))
    ids, known = lm.vocabulary.encode("Hannah"), other.vocabulary.encode("Hannah")  # the union of both vocabularies
    after, _ = lm.model.apply({"params": lm.params}, ids[None])
    before, _ = other.model.apply({"params": other.params}, known[None])
    np.testing.assert_allclose(after[..., ids], before[..., known], rtol=1e-4, atol=1e-4)


def test_the_new_vocabulary_keeps_the_order_of_the_new_texts(first):
    texts = ["zzzyyx", "zé"]
    lm = flaxchar.train(texts, init_from=first, steps=1, val_fraction=0)
    assert lm.vocabulary.tokens[:4] == ("z", "y", "x", "é")
    assert set(lm.vocabulary.tokens) == set("zyxé") | set("".join(PALINDROMES))


def test_once_begun_a_run_needs_the_other_one_no_longer(first, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(first, other)
    texts = ["Zoé", "Noé", "Eve"] * 5
    whole = flaxchar.train(texts, init_from=other, workdir=tmp_path / "whole", steps=8, val_fraction=0)

    class Killed(Exception):
        """Ends the process, as far as the run can tell."""

    def kill(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flaxchar.training.session.fit", kill)  # before the first step
        with pytest.raises(Killed):
            flaxchar.train(texts, init_from=other, workdir=tmp_path / "r", steps=8, val_fraction=0)
    shutil.rmtree(other)
    lm = flaxchar.train(texts, workdir=tmp_path / "r")
    assert lm.vocabulary == whole.vocabulary
    jax.tree.map(np.testing.assert_array_equal, lm.params, whole.params)
    again = flaxchar.train(texts, init_from=other, workdir=tmp_path / "r", steps=8, val_fraction=0)  # the whole command
    jax.tree.map(np.testing.assert_array_equal, again.params, whole.params)


def test_a_classifier_and_a_model_with_labels_begin_with_a_plain_one(first):
    labels = [name[0] for name in PALINDROMES]
    classifier = flaxchar.train(PALINDROMES, labels=labels, init_from=first, head="classifier", steps=2)
    assert set(classifier.classify(PALINDROMES[:2]).labels) <= set(labels)
    writer = flaxchar.train(PALINDROMES, labels=labels, init_from=first, steps=2)
    assert len(writer.generate(label="A")) == 1


def test_words_do_not_begin_with_characters(first):
    with pytest.raises(InputError, match=r"`unit` is word, and the run in .* has char"):
        flaxchar.train(["one two"] * 5, init_from=first, unit="word", steps=1)


def test_what_was_taken_over_is_told(first, tmp_path, capsys):
    from flaxchar.data.cache import encode_corpus
    from flaxchar.data.corpus import make_corpus
    from flaxchar.training.initial import known_tokens
    from flaxchar.training.reporting import Observer
    from flaxchar.training.session import train_corpus

    class Hears(Observer):
        def prepared(self, lines):
            said.extend(lines)

    said: list[str] = []
    config = Run.open(first).config.replace(init_from=str(first), steps=1)
    corpus = encode_corpus(make_corpus(["Annaß"], None, config.data, 0), config.data, known=known_tokens(config))
    train_corpus(corpus, config, None, Hears())
    size = len(set("".join(PALINDROMES)))
    assert said[-1] == (
        f"taken over from {first}: {size} of {size + 1} characters, the layer; fresh: 1 new character ('ß')"
    )
