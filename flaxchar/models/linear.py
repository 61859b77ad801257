"""minGRU and minLSTM: cells whose gates depend only on the input, computed in parallel over time.

Feng et al. 2024, https://arxiv.org/abs/2410.01201. The state is ``h = a h' + b`` with ``a`` and ``b`` known for all
steps, and an associative scan computes it::

    minGRU:   z = sigmoid(x W_z + b_z)                      a = 1 - z          b = z (x W_n + b_n)
    minLSTM:  f, i = sigmoid(x W_f + b_f), sigmoid(x W_i + b_i)    a = f / (f + i)    b = i / (f + i) (x W_n + b_n)
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from flaxchar.data.batches import AnyArray
from flaxchar.kernels.arrays import Carry, LayerInputs, Starts, Weights
from flaxchar.models.lstm import kept, masked
from flaxchar.models.projection import DType, project


def mingru_coefficients(inputs: AnyArray, weights: Weights, dtype: DType) -> tuple[Array, Array]:
    """``a`` and ``b`` in ``h = a h' + b``, each ``[..., hidden]``."""
    a_z, n = jnp.split(project(inputs, weights["kernel"], weights["bias"], dtype), 2, axis=-1)
    return jax.nn.sigmoid(-a_z), jax.nn.sigmoid(a_z) * n


def minlstm_coefficients(inputs: AnyArray, weights: Weights, dtype: DType) -> tuple[Array, Array]:
    """``a`` and ``b`` in ``h = a h' + b``, each ``[..., hidden]``."""
    a_f, a_i, n = jnp.split(project(inputs, weights["kernel"], weights["bias"], dtype), 3, axis=-1)
    # f / (f + i), computed from log-sigmoids, because f and i can both underflow to 0.
    a = jax.nn.sigmoid(jax.nn.log_sigmoid(a_f) - jax.nn.log_sigmoid(a_i))
    return a, (1 - a) * n


def linear_sequence(
    coefficients: Callable,
    inputs: LayerInputs,
    weights: Weights,
    carry: Carry,
    mask: None,
    dtype: DType,
    starts: Starts = None,
) -> tuple[Float[Array, "time batch hidden"], Carry]:
    """A cell over a sequence, in parallel over time; arguments as for ``RecurrentCell.sequence``."""
    a, b = coefficients(inputs, weights, dtype)
    a = masked(a, kept(starts))  # a state of 0 before a step is a factor of 0
    b = b.at[0].add(a[0] * carry[0])

    def compose(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        return first[0] * second[0], second[0] * first[1] + second[1]

    _, hs = lax.associative_scan(compose, (a, b))
    return hs, (hs[-1],)


def linear_step(
    coefficients: Callable,
    inputs: Int[AnyArray, " batch"] | Float[AnyArray, "batch features"],
    weights: Weights,
    carry: Carry,
    dtype: DType,
) -> tuple[Float[Array, "batch hidden"], Carry]:
    """One step of a cell; arguments as for ``RecurrentCell.step``."""
    a, b = coefficients(inputs, weights, dtype)
    h = a * carry[0] + b
    return h, (h,)
