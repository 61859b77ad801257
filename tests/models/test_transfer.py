"""Parameters that are taken over: a text of known characters gives the logits that it gave before."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import untrained_model

from flaxchar import Vocabulary, init_params
from flaxchar.data.examples import Example
from flaxchar.data.union import with_tokens
from flaxchar.models.cells import CELLS
from flaxchar.models.charlm import make_model
from flaxchar.models.transfer import transfer


def taken_over(lm, examples, same_head=True):
    """The vocabulary, the model and the parameters of a model for other texts."""
    known = [token for token in lm.vocabulary.tokens if token is not None]
    vocabulary = with_tokens(Vocabulary.build(examples), known)
    model = make_model(vocabulary, lm.config.model)
    taken = transfer(lm, vocabulary, init_params(model, jax.random.key(5)), same_head)
    return vocabulary, model, taken


@pytest.mark.parametrize(
    "cell", [name if name in ("lstm", "mingru") else pytest.param(name, marks=pytest.mark.slow) for name in CELLS]
)
@pytest.mark.parametrize("settings", [{"embedding": 0}, {"embedding": 5, "layers": 2, "layer_norm": True}])
def test_known_characters_keep_their_logits_whatever_their_ids(cell, settings):
    lm = untrained_model(["banana", "cab"], cell=cell, **settings)
    vocabulary, model, taken = taken_over(lm, ["éncß" * 3, "abx"])
    assert vocabulary.encode("abc").tolist() != lm.vocabulary.encode("abc").tolist()
    text = "cabanabc"
    before, _ = lm.model.apply({"params": lm.params}, lm.vocabulary.encode(text)[None])
    after, _ = model.apply({"params": taken.params}, vocabulary.encode(text)[None])
    for token in "abcn":
        np.testing.assert_allclose(
            after[..., vocabulary.id_of(token)], before[..., lm.vocabulary.id_of(token)], rtol=1e-5, atol=1e-5
        )
    np.testing.assert_allclose(after[..., vocabulary.eos], before[..., lm.vocabulary.eos], rtol=1e-5, atol=1e-5)


def test_new_characters_are_as_probable_as_the_mean_and_have_an_embedding_of_their_own():
    lm = untrained_model(["banana"], embedding=4)
    vocabulary, _, taken = taken_over(lm, ["éß"])
    new = vocabulary.encode("éß")
    kernel = np.asarray(lm.params["logits"]["kernel"])
    np.testing.assert_allclose(
        np.asarray(taken.params["logits"]["kernel"])[:, new], kernel.mean(1)[:, None].repeat(2, 1), rtol=1e-4
    )
    one, other = np.asarray(taken.params["embedding"])[new]
    assert not np.allclose(one, other)


def test_the_sentence_says_what_was_taken_over_and_what_starts_fresh():
    lm = untrained_model(["banana"], layers=2)
    assert (
        taken_over(lm, ["banéß"])[2].sentence == "3 of 5 characters, all 2 layers; fresh: 2 new characters ('é', 'ß')"
    )
    assert taken_over(lm, ["ban"])[2].sentence == "3 of 3 characters, all 2 layers"
    assert taken_over(lm, [Example("ban", "good")])[2].sentence.endswith("fresh: 1 label")
    sourced = taken_over(lm, [Example("ban", None, "b")])[2]
    assert sourced.sentence.endswith("fresh: the attention to sources")
    assert {"query", "found", "coverage"} <= set(sourced.params)
    other_head = taken_over(lm, ["ban"], same_head=False)[2]
    assert other_head.sentence.endswith("fresh: the output layer")
    assert not np.allclose(other_head.params["logits"]["kernel"], lm.params["logits"]["kernel"])


def test_labels_are_taken_over_by_name():
    lm = untrained_model(["ab"], labels=["good", "bad"], embedding=4)
    vocabulary, _, taken = taken_over(lm, [Example("ab", "new"), Example("b", "bad")])
    np.testing.assert_array_equal(
        taken.params["embedding"][vocabulary.label_id("bad")], lm.params["embedding"][lm.vocabulary.label_id("bad")]
    )
