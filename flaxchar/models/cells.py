"""The recurrent cells: GRU and simple RNN, with backward passes by hand, and the table of all cells.

Each cell is two pure functions: one over a sequence, like ``flaxchar.models.lstm.lstm``, and one for a single step. A
``RecurrentCell`` holds both and describes the cell's parameters. ``CELLS`` has all cells by name.

**GRU**, in Keras' ``reset_after`` form (Cho et al. 2014, https://arxiv.org/abs/1406.1078; the reset gate after the
product as in cuDNN)::

    a = x W + b    q = h' R + s             (three gates each: z, r, n)
    z = sigmoid(a_z + q_z)    r = sigmoid(a_r + q_r)    n = tanh(a_n + r q_n)
    h = z h' + (1 - z) n

With ``dh`` the gradient that reaches ``h``, every gradient is ``dh`` times factors from the forward pass::

    da_z = dh (h' - n) z (1 - z)    da_n = dh (1 - z) (1 - n^2)    da_r = da_n q_n r (1 - r)
    dq   = (da_z, da_r, da_n r)     dh'  = dh z + dq R^T

**RNN**: ``h = tanh(x W + b + h' R)``, so ``da = dh (1 - h^2)`` and ``dh' = da R^T`` (Elman 1990).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from flaxchar.data.batches import AnyArray
from flaxchar.hardware import this_hardware
from flaxchar.kernels import cpu
from flaxchar.kernels.arrays import Carry, LayerInputs, Mask, Starts, Weights
from flaxchar.models.linear import linear_sequence, linear_step, mingru_coefficients, minlstm_coefficients
from flaxchar.models.lstm import kept, lstm, lstm_step, masked, runs_natively
from flaxchar.models.projection import DType, product, project, sum_of_products

# The inputs of one step: ids or vectors.
StepInputs = Int[AnyArray, " batch"] | Float[AnyArray, "batch features"]
# The result of a sequence and of a step: hidden states and carry.
SequenceResult = tuple[Float[Array, "time batch hidden"], Carry]
StepResult = tuple[Float[Array, "batch hidden"], Carry]


class RecurrentCell(NamedTuple):
    """A recurrent cell: its parameters and its two functions.

    Attributes:
      gates: number of gates; the kernel has this many columns for each unit.
      states: number of arrays ``[batch, hidden]`` in the carry, the first of them the hidden state.
      recurrent: whether the cell has a recurrent kernel.
      recurrent_bias: whether the recurrent product has a bias of its own.
      forget_gate: index of the gate whose bias starts at 1, so that an untrained cell keeps its state; None for none.
      sequence: ``(inputs, weights, carry, mask, dtype, starts)`` → hidden states ``[time, batch, hidden]`` and carry.
        The mask ``[batch, hidden]``, or None, multiplies the state before each recurrent product. The carry is set to 0
        before the steps where a text starts, bool ``[time, batch]``; None for nowhere.
      step: ``(inputs, weights, carry, dtype)`` → hidden state ``[batch, hidden]`` and carry.

    Example::

        weights = {"kernel": jnp.ones((84, 3 * 16)), "bias": jnp.zeros(3 * 16),
                   "recurrent_kernel": jnp.ones((16, 3 * 16)), "recurrent_bias": jnp.zeros(3 * 16)}
        hs, (h,) = CELLS["gru"].sequence(ids, weights, (jnp.zeros((2, 16)),), None, "float32")  # ids [time, 2]
    """

    gates: int
    states: int
    recurrent: bool
    recurrent_bias: bool
    forget_gate: int | None
    sequence: Callable[..., SequenceResult]
    step: Callable[..., StepResult]


def _lstm(
    inputs: LayerInputs, weights: Weights, carry: Carry, mask: Mask, dtype: DType, starts: Starts = None
) -> SequenceResult:
    return lstm(inputs, weights["kernel"], weights["bias"], weights["recurrent_kernel"], carry, dtype, mask, starts)


def _lstm_step(inputs: StepInputs, weights: Weights, carry: Carry, dtype: DType) -> StepResult:
    return lstm_step(inputs, weights["kernel"], weights["bias"], weights["recurrent_kernel"], carry, dtype)


# ---------------------------------------------------------------------------------------------------------------- GRU


def gru(
    inputs: LayerInputs,
    weights: Weights,
    carry: Carry,
    mask: Mask = None,
    dtype: DType = "float32",
    starts: Starts = None,
) -> SequenceResult:
    """The GRU over a sequence; arguments as for ``RecurrentCell.sequence``, the carry is ``(h,)``."""
    if runs_natively(dtype) and starts is None:
        return cpu.sequence("gru", inputs, weights, carry, mask)
    projected = project(inputs, weights["kernel"], weights["bias"], dtype)  # [time, batch, 3 * hidden]
    recurrent, bias = weights["recurrent_kernel"], weights["recurrent_bias"]
    hs = _gru_scan(dtype, projected, recurrent, bias, carry[0], mask, kept(starts))
    return hs, (hs[-1],)


def gru_step(inputs: StepInputs, weights: Weights, carry: Carry, dtype: DType = "float32") -> StepResult:
    """One step of the GRU; arguments as for ``RecurrentCell.step``."""
    projected = project(inputs, weights["kernel"], weights["bias"], dtype)
    h, _ = _gru_step(dtype, projected, weights["recurrent_kernel"], weights["recurrent_bias"], carry[0], None)
    return h, (h,)


def _gru_step(
    dtype: DType, projected: AnyArray, recurrent: AnyArray, bias: AnyArray, h: AnyArray, mask: Mask
) -> tuple[Array, tuple[Array, ...]]:
    a_z, a_r, a_n = jnp.split(projected, 3, axis=-1)
    q_z, q_r, q_n = jnp.split(product(masked(h, mask), recurrent, dtype) + bias, 3, axis=-1)
    z, r = jax.nn.sigmoid(a_z + q_z), jax.nn.sigmoid(a_r + q_r)
    n = jnp.tanh(a_n + r * q_n)
    return z * h + (1 - z) * n, (z, r, n, q_n)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gru_scan(
    dtype: DType,
    projected: AnyArray,
    recurrent: AnyArray,
    bias: AnyArray,
    h: AnyArray,
    mask: Mask,
    keep: AnyArray | None,
) -> Array:
    return _gru_forward(dtype, projected, recurrent, bias, h, mask, keep)[0]


def _gru_forward(
    dtype: DType,
    projected: AnyArray,
    recurrent: AnyArray,
    bias: AnyArray,
    h: AnyArray,
    mask: Mask,
    keep: AnyArray | None,
) -> tuple[Array, tuple]:
    factor = recurrent.astype(dtype)

    def step(h: Array, inputs: tuple[AnyArray, ...]) -> tuple[Array, tuple]:
        projected, keep = inputs
        h, gates = _gru_step(dtype, projected, factor, bias, masked(h, keep), mask)
        return h, (h, tuple(gate.astype(dtype) for gate in gates))

    _, (hs, gates) = lax.scan(step, h, (projected, keep), unroll=this_hardware().unroll)
    return hs, (recurrent, mask, keep, h, hs, gates)


def _gru_backward(dtype: DType, residuals: tuple, d_hs: AnyArray) -> tuple:
    recurrent, mask, keep, h0, hs, gates = residuals
    z, r, n, q_n = (gate.astype(jnp.float32) for gate in gates)
    h_before = masked(jnp.concatenate([h0[None], hs[:-1]]), keep)
    to_n = (1 - z) * (1 - n * n)
    to_z, to_r = (h_before - n) * z * (1 - z), to_n * q_n * r * (1 - r)
    factors = jnp.concatenate([to_z, to_r, to_n * r], axis=-1)  # dq = dh * factors, [time, batch, 3 * hidden]
    transposed = recurrent.T.astype(dtype)

    def step(d_h: Array, inputs: tuple[AnyArray, ...]) -> tuple[Array, Array]:
        d_hs, factors, z, keep = inputs
        d_h = d_hs + d_h
        d_q = jnp.concatenate([d_h, d_h, d_h], axis=-1) * factors
        return masked(d_h * z + masked(product(d_q, transposed, dtype), mask), keep), d_h

    inputs = d_hs, factors, z, keep
    d_h0, d_h = lax.scan(step, jnp.zeros_like(h0), inputs, reverse=True, unroll=this_hardware().unroll)
    d_q = jnp.concatenate([d_h, d_h, d_h], axis=-1) * factors
    d_projected = jnp.concatenate([d_h * to_z, d_h * to_r, d_h * to_n], axis=-1)
    d_recurrent = sum_of_products(masked(h_before, mask), d_q, dtype)
    d_constants = (None if constant is None else jnp.zeros_like(constant) for constant in (mask, keep))
    return d_projected, d_recurrent, d_q.sum((0, 1)), d_h0, *d_constants


_gru_scan.defvjp(_gru_forward, _gru_backward)


# ---------------------------------------------------------------------------------------------------------------- RNN


def rnn(
    inputs: LayerInputs,
    weights: Weights,
    carry: Carry,
    mask: Mask = None,
    dtype: DType = "float32",
    starts: Starts = None,
) -> SequenceResult:
    """The simple RNN over a sequence; arguments as for ``RecurrentCell.sequence``, the carry is ``(h,)``."""
    if runs_natively(dtype) and starts is None:
        return cpu.sequence("rnn", inputs, weights, carry, mask)
    projected = project(inputs, weights["kernel"], weights["bias"], dtype)  # [time, batch, hidden]
    hs = _rnn_scan(dtype, projected, weights["recurrent_kernel"], carry[0], mask, kept(starts))
    return hs, (hs[-1],)


def rnn_step(inputs: StepInputs, weights: Weights, carry: Carry, dtype: DType = "float32") -> StepResult:
    """One step of the simple RNN; arguments as for ``RecurrentCell.step``."""
    projected = project(inputs, weights["kernel"], weights["bias"], dtype)
    h = jnp.tanh(projected + product(carry[0], weights["recurrent_kernel"], dtype))
    return h, (h,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rnn_scan(
    dtype: DType, projected: AnyArray, recurrent: AnyArray, h: AnyArray, mask: Mask, keep: AnyArray | None
) -> Array:
    return _rnn_forward(dtype, projected, recurrent, h, mask, keep)[0]


def _rnn_forward(
    dtype: DType, projected: AnyArray, recurrent: AnyArray, h: AnyArray, mask: Mask, keep: AnyArray | None
) -> tuple[Array, tuple]:
    factor = recurrent.astype(dtype)

    def step(h: Array, inputs: tuple[AnyArray, ...]) -> tuple[Array, Array]:
        projected, keep = inputs
        h = jnp.tanh(projected + product(masked(masked(h, keep), mask), factor, dtype))
        return h, h

    _, hs = lax.scan(step, h, (projected, keep), unroll=this_hardware().unroll)
    return hs, (recurrent, mask, keep, h, hs)


def _rnn_backward(dtype: DType, residuals: tuple, d_hs: AnyArray) -> tuple:
    recurrent, mask, keep, h0, hs = residuals
    transposed, slope = recurrent.T.astype(dtype), 1 - hs * hs

    def step(d_h: Array, inputs: tuple[AnyArray, ...]) -> tuple[Array, Array]:
        d_hs, slope, keep = inputs
        d_a = (d_hs + d_h) * slope
        return masked(masked(product(d_a, transposed, dtype), mask), keep), d_a

    inputs = d_hs, slope, keep
    d_h0, d_a = lax.scan(step, jnp.zeros_like(h0), inputs, reverse=True, unroll=this_hardware().unroll)
    h_before = masked(masked(jnp.concatenate([h0[None], hs[:-1]]), keep), mask)
    d_constants = (None if constant is None else jnp.zeros_like(constant) for constant in (mask, keep))
    return d_a, sum_of_products(h_before, d_a, dtype), d_h0, *d_constants


_rnn_scan.defvjp(_rnn_forward, _rnn_backward)


def _linear(gates: int, forget_gate: int | None, coefficients: Callable) -> RecurrentCell:
    """A cell of the form ``h = a h' + b``."""
    sequence, step = (functools.partial(f, coefficients) for f in (linear_sequence, linear_step))
    return RecurrentCell(gates, 1, False, False, forget_gate, sequence, step)


CELLS: dict[str, RecurrentCell] = {
    "lstm": RecurrentCell(4, 2, True, False, 1, _lstm, _lstm_step),
    "gru": RecurrentCell(3, 1, True, True, None, gru, gru_step),
    "rnn": RecurrentCell(1, 1, True, False, None, rnn, rnn_step),
    "mingru": _linear(2, None, mingru_coefficients),
    "minlstm": _linear(3, 0, minlstm_coefficients),
}
