"""Random numbers: JAX's own, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.kernels.random import fold_in, new_key

DRAWS = {
    "key": jax.random.key_data,
    "split": lambda key: jax.random.key_data(jax.random.split(key, (3, 2))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 2**32 - 5)),
    "fold_in rows": lambda key: jax.random.key_data(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(-2, 5))),
    "folded twice": lambda key: jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, 3), 4), (7,)),
    "bits": lambda key: jax.random.bits(key, (5, 7)),
    "bits16": lambda key: jax.random.bits(key, (5, 7), jnp.uint16),
    "bits rows": lambda key: jax.vmap(lambda key: jax.random.bits(key, (3, 5)))(jax.random.split(key, 4)),
    "normal": lambda key: jax.random.normal(key, (5, 7)),
    "orthogonal": lambda key: jax.random.orthogonal(key, 8),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(50) / 20, shape=(9,)),
}


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_key_gives_what_jax_gives(draw, seed):
    expected = draw(jax.random.key(seed))
    np.testing.assert_array_equal(draw(new_key(seed)), expected)
    np.testing.assert_array_equal(jax.jit(draw)(new_key(seed)), expected)


@pytest.mark.parametrize(
    "numbers", [0, 2**32 - 1, np.arange(5), np.zeros((0,), np.uint32), np.array([[1, 2**31], [7, 3]])]
)
def test_folding_at_once_gives_what_jax_gives(numbers):
    fold = jax.random.fold_in
    for _ in range(np.ndim(numbers)):
        fold = jax.vmap(fold, (None, 0))
    expected = fold(jax.random.fold_in(jax.random.key(2**32 - 1), 11), np.asarray(numbers, np.uint32))
    folded = fold_in(new_key(2**32 - 1), 11, numbers)
    assert folded.shape == np.shape(numbers)
    np.testing.assert_array_equal(jax.random.key_data(folded), jax.random.key_data(expected))


def test_64_bits_are_what_jax_gives():
    with jax.enable_x64(True):
        expected = jax.random.uniform(jax.random.key(3), (5,), jnp.float64)
        np.testing.assert_array_equal(jax.random.uniform(new_key(3), (5,), jnp.float64), expected)
