"""Shapes and dtypes in annotations: checked while the tests run, and nowhere else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import python
from jaxtyping import TypeCheckError
from recurrences import make_inputs, make_weights

from flaxchar.data.batches import one_hot
from flaxchar.generation.sampling import next_token_logits
from flaxchar.models.cells import CELLS
from flaxchar.models.losses import token_losses

LOGITS, TARGETS, MASK = np.zeros((2, 3, 5), np.float32), np.ones((2, 3), np.int32), np.ones((2, 3), bool)


@pytest.mark.parametrize(
    "arguments",
    [
        (LOGITS[0], TARGETS, MASK),  # a dimension is missing
        (LOGITS, TARGETS.T, MASK),  # batch and time are exchanged
        (LOGITS, TARGETS, MASK[:, :2]),
        (LOGITS, TARGETS.astype(np.float32), MASK),
        (LOGITS, TARGETS, TARGETS),  # a mask of numbers
    ],
)
def test_a_wrong_shape_or_dtype_is_refused_while_the_tests_run(arguments):
    with pytest.raises(TypeCheckError):
        token_losses(*arguments)
    with pytest.raises(TypeCheckError):
        jax.jit(token_losses)(*arguments)


def test_every_package_with_annotations_is_checked():
    (weights, (h, c)), inputs = make_weights("lstm"), make_inputs("ids")
    with pytest.raises(TypeCheckError):  # of both, because beartype checks one item of a tuple, drawn at random
        CELLS["lstm"].sequence(inputs, weights, (h[:-1], c[:-1]), None, "float32")
    with pytest.raises(TypeCheckError):
        next_token_logits(jnp.zeros((2, 3)), (0.5, 0, 1.0), filtered=False)
    with pytest.raises(TypeCheckError):
        one_hot(np.zeros(3, np.int32), 5)


def test_numpy_arrays_and_tracers_are_accepted():
    expected = np.full((2, 3), np.log(5), np.float32)
    np.testing.assert_allclose(token_losses(LOGITS, TARGETS, MASK), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(token_losses)(LOGITS, jnp.asarray(TARGETS), MASK), expected, rtol=1e-6)
    rows = jax.vmap(token_losses)(LOGITS[None], TARGETS[None], MASK[None])
    np.testing.assert_allclose(rows[0], expected, rtol=1e-6)


def test_a_users_program_does_not_check():
    program = (
        "import sys, numpy as np; from flaxchar import token_losses\n"
        "token_losses(np.zeros((3, 5), np.float32), np.ones(3, int), np.ones((1, 3), bool))\n"
        "print('beartype' in sys.modules)"
    )
    assert python(program).strip() == "False"
