"""The matrix products of the recurrences: the input projection, and products with factors in float32 or bfloat16."""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Float32, Int

from flaxchar.data.batches import AnyArray
from flaxchar.hardware import this_hardware

# The type of the factors of matrix products. Sums, gates and carries are always float32.
DType = Literal["float32", "bfloat16"]


def project(
    inputs: Int[AnyArray, "*steps"] | Float[AnyArray, "*steps features"],
    kernel: Float[AnyArray, "features columns"],
    bias: Float[AnyArray, " columns"],
    dtype: DType = "float32",
) -> Float[Array, "*steps columns"]:
    """The input projection ``x W + b``, float32; an id stands for its one-hot vector, so it looks up a row of ``W``."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        # The bias is added to the few rows of the table rather than to every time step.
        return _rows(dtype, kernel + bias, inputs)
    return product(inputs, kernel, dtype) + bias


# Up to this many rows, the gradient of a table is a matrix product on a GPU.
_FEW_ROWS = 2048


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rows(dtype: DType, table: AnyArray, ids: AnyArray) -> Array:
    """Look up rows of a table ``[rows, columns]`` by ids ``[...]`` → ``[..., columns]``."""
    return jnp.take(table, ids, axis=0)


def _rows_forward(dtype: DType, table: AnyArray, ids: AnyArray) -> tuple[Array, tuple]:
    return _rows(dtype, table, ids), (len(table), ids)


def _rows_backward(dtype: DType, residuals: tuple, gradient: AnyArray) -> tuple[Array, None]:
    """The gradient of the table: the sum of the gradients of its lookups, row by row.

    A GPU adds up thousands of lookups of the same row fastest as a product with the one-hot ids, and always in the same
    order.
    """
    count, ids = residuals
    columns = gradient.shape[-1]
    ids, gradient = ids.reshape(-1), gradient.reshape(-1, columns)
    if this_hardware().platform == "gpu" and count <= _FEW_ROWS:
        return product(jax.nn.one_hot(ids, count, axis=0, dtype=dtype), gradient, dtype), None
    return jnp.zeros((count, columns), gradient.dtype).at[ids].add(gradient), None


_rows.defvjp(_rows_forward, _rows_backward)


def product(a: AnyArray, b: AnyArray, dtype: DType) -> Float32[Array, "*shape"]:
    """Matrix product of ``[..., k]`` and ``[k, ...]``: factors in ``dtype``, sums in float32."""
    return jnp.tensordot(a.astype(dtype), b.astype(dtype), 1, preferred_element_type=jnp.float32)


def sum_of_products(a: AnyArray, b: AnyArray, dtype: DType) -> Float32[Array, "*shape"]:
    """``a^T b`` summed over time and batch: ``[time, batch, m]`` and ``[time, batch, ...]`` → ``[m, ...]``."""
    pairs = ((0, 1), (0, 1))
    return jnp.tensordot(a.astype(dtype), b.astype(dtype), pairs, preferred_element_type=jnp.float32)
