"""Two models that write together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_model

import flaxchar
from flaxchar import InputError
from flaxchar.generation.blend import blended

ONE, OTHER = ["abab", "aab", "abb"], ["bbba", "ba", "bbab"]  # the same characters, numbered otherwise


pytestmark = pytest.mark.usefixtures("jax_loop")


@pytest.fixture(scope="module")
def one():
    return untrained_model(ONE)


@pytest.fixture(scope="module")
def other():
    lm = untrained_model(OTHER, cell="gru")
    assert lm.vocabulary.tokens == ("b", "a")
    return lm


def test_the_logits_are_mixed_whatever_the_order_of_the_ids(one, other):
    model, params = blended(one, (other, 0.3))
    ids = one.vocabulary.encode("abba")
    carry = model.initial_step_carry(1, 8)
    for k, token in enumerate(ids):
        logits, carry = model.apply({"params": params}, np.array([token]), carry, method="step")
        ours = one.model.apply({"params": one.params}, ids[None, : k + 1])[0][0, -1]
        theirs = other.model.apply({"params": other.params}, other.vocabulary.encode("abba")[None, : k + 1])[0][0, -1]
        in_order = theirs[jnp.array([0, 2, 1, 3])]
        np.testing.assert_allclose(logits[0], 0.7 * ours + 0.3 * in_order, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_the_ends_of_a_blend_are_the_models(one, other, temperature):
    how = {"num_samples": 20, "temperature": temperature, "size": 30}
    assert one.generate(blend=(other, 0.0), **how) == one.generate(**how)
    assert one.likeliest(blend=(other, 0)) == one.likeliest()
    assert one.likeliest(blend=(other, 1.0)) == other.likeliest()
    if temperature == 0:
        assert one.generate(blend=(other, 1.0), **how) == other.generate(**how)


def test_a_blend_with_oneself_is_oneself(one):
    twin = flaxchar.LanguageModel(jax.tree.map(jnp.copy, one.params), one.vocabulary, one.config)
    texts = one.generate(num_samples=20, size=30)
    assert one.generate(num_samples=20, size=30, blend=(twin, 0.5)) == texts
    assert "".join(one.stream(size=30, blend=(twin, 0.5), sample=3)) == texts[3]


def test_a_blend_writes_under_constraints(one, other):
    for text in one.generate(num_samples=10, size=9, blend=(other, 0.5), regex="(ab|ba){2,4}", temperature=2.0):
        assert set(text[:2]) == {"a", "b"}
        assert len(text) in (4, 6, 8)


def test_models_with_labels_are_mixed_by_name():
    one = untrained_model(["ab", "b"], labels=["x", "y"])
    other = untrained_model(["ab", "b"], 1, labels=["y", "x"])
    assert one.vocabulary.label_id("x") != other.vocabulary.label_id("x")
    assert one.generate(label="x", temperature=0, blend=(other, 1.0)) == other.generate(label="x", temperature=0)


@pytest.mark.parametrize("value", [3, "runs/x", (1, 2), (None, 0.5), ()])
def test_something_else_is_an_error(one, value):
    with pytest.raises(InputError, match=r"`blend` is .*; it must be a model and a share"):
        one.generate(blend=value)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "x", None, True])
def test_a_share_out_of_range_is_an_error(one, other, share):
    with pytest.raises(InputError, match=r"`blend` is .*; it must be"):
        one.generate(blend=(other, share))


@pytest.mark.parametrize(
    ("texts", "settings", "told"),
    [
        (["abc"], {}, "only the model that it names has the tokens 'c'"),
        (["a"], {}, "the model that it names lacks the tokens 'b'"),
        (["a b"], {"unit": "word"}, "these cut texts into different tokens"),
        (["a b"], {"unit": "word", "max_vocab": 2}, "these cut texts into different tokens"),
        (["ab"], {"labels": ["x", "y"], "head": "classifier"}, "names a classifier, which does not write"),
        (["ab"], {"max_vocab": 2}, "only the model that it names has an unknown token"),
        (["ab"], {"labels": ["x", "y"]}, "only the model that it names has the labels 'x', 'y'"),
        (["ab"], {"sources": True}, "only the model that it names has sources"),
    ],
)
def test_different_vocabularies_are_told_apart(one, texts, settings, told):
    other = untrained_model(texts, **settings)
    for share in (0.0, 0.5):
        with pytest.raises(InputError, match=told):
            one.generate(blend=(other, share))
