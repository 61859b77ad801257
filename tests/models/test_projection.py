"""The input projection: ids look up what one-hot vectors multiply, in values and gradients, on every kind of device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.hardware import Hardware, described_as
from flaxchar.models.projection import product, project, sum_of_products


@pytest.mark.parametrize("hardware", [Hardware(), Hardware("gpu", "NVIDIA H200")], ids=["cpu", "gpu"])
def test_ids_project_as_their_one_hot_vectors_do(hardware):
    rng = np.random.default_rng(0)
    ids, kernel, bias = rng.integers(0, 5, (7, 3)), rng.normal(size=(5, 8)), rng.normal(size=8)
    weights = rng.normal(size=(7, 3, 8))

    def value(kernel, bias, inputs):
        return (project(inputs, kernel, bias) * weights).sum()

    arrays = jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)
    with described_as(hardware):
        by_id = jax.value_and_grad(value, (0, 1))(*arrays, jnp.asarray(ids))
    by_vector = jax.value_and_grad(value, (0, 1))(*arrays, jax.nn.one_hot(ids, 5))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), by_id, by_vector)


def test_products_are_those_of_numpy_with_rounded_factors():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3, 5)).astype(np.float32), rng.normal(size=(4, 3, 6)).astype(np.float32)
    matrix = rng.normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_allclose(product(a, matrix, "float32"), a @ matrix, rtol=1e-5)
    np.testing.assert_allclose(sum_of_products(a, b, "float32"), np.einsum("tbm,tbn->mn", a, b), rtol=1e-4, atol=1e-5)
    rounded = product(a, matrix, "bfloat16")
    assert rounded.dtype == jnp.float32
    assert 0 < np.abs(rounded - a @ matrix).max() < 0.05
