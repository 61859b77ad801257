"""The recurrence: a pure function from a sequence of inputs and a carry to a sequence of hidden states.

The inputs are projected for all time steps at once; what is left is the part that must go step by step. The backward
pass is written by hand. For one step, with the pre-activation ``z = x W + b + h' R`` (``h'`` and ``c'`` being the state
before the step) cut into four gates::

    i = sigmoid(z_i)   f = sigmoid(z_f)   g = tanh(z_g)   o = sigmoid(z_o)
    c = f c' + i g                        h = o tanh(c)

and ``dh``, ``dc`` the gradients that reach ``h`` and ``c`` from above and from later steps, it is::

    dc  += dh o (1 - tanh(c)^2)
    dz_o = dh tanh(c) o (1 - o)
    dz_i = dc g i (1 - i)       dz_f = dc c' f (1 - f)       dz_g = dc i (1 - g^2)
    dh'  = dz R^T               dc'  = dc f
    dR   = sum over steps of h'^T dz

Only the lines for ``dc``, ``dh'`` and ``dc'`` depend on later steps. Everything else is computed for all steps at once,
before or after the reverse scan (Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the
forget gate of Gers et al. 2000; gate order and form as in Keras).

On a CPU ``flaxchar.kernels.cpu`` does the same by a kernel of its own, where it can be compiled.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec

from flaxchar.kernels import cpu

# The recurrent state of a layer, arrays [batch, hidden] float32: of an LSTM (h, c).
Carry = tuple[Array, ...]
# What matrix products are computed in; sums, gates and carries are float32 in any case.
DType = Literal["float32", "bfloat16"]


def project(inputs: Array, kernel: Array, bias: Array, dtype: DType = "float32") -> Array:
    """``x W + b`` of ids ``[...]`` (rows looked up: what a one-hot product is) or vectors ``[..., in]``; float32."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        # The bias is added to the few rows of the table rather than to every time step.
        return jnp.take(kernel + bias, inputs, axis=0)
    return product(inputs, kernel, dtype) + bias


def lstm_step(
    inputs: Array, kernel: Array, bias: Array, recurrent: Array, carry: Carry, dtype: DType = "float32"
) -> tuple[Array, Carry]:
    """One step of the LSTM: ids ``[batch]`` or vectors ``[batch, in]``, otherwise as ``lstm``.

    Returns:
      The new hidden state ``[batch, hidden]`` and the new carry.
    """
    projected = _by_gate(project(inputs, kernel, bias, dtype))
    h, c, _ = _step(projected * _tanh_scale(), _by_gate(recurrent) * _tanh_scale(), carry, dtype)
    return h, (h, c)


def lstm(
    inputs: Array,
    kernel: Array,
    bias: Array,
    recurrent: Array,
    carry: Carry,
    dtype: DType = "float32",
    mask: Array | None = None,
) -> tuple[Array, Carry]:
    """The LSTM over a whole sequence, differentiable in all its arguments but ids.

    Args:
      inputs: time first: ids, int32 ``[time, batch]``, or vectors, float32 ``[time, batch, in]``.
      kernel: ``W``, ``[in, 4 * hidden]``; gates in the order i, f, g, o.
      bias: ``b``, ``[4 * hidden]``.
      recurrent: ``R``, ``[hidden, 4 * hidden]``.
      carry: ``(h, c)`` before the first step, each ``[batch, hidden]``.
      dtype: of the matrix products.
      mask: what the hidden state is multiplied with before each recurrent product, ``[batch, hidden]``, not
        differentiated: recurrent dropout. None for nothing.

    Returns:
      The hidden states ``[time, batch, hidden]`` and the carry after the last step, float32.
    """
    if natively(dtype):
        weights = {"kernel": kernel, "bias": bias, "recurrent_kernel": recurrent}
        return cpu.sequence("lstm", inputs, weights, carry, mask)
    return lstm_scan(dtype, project(inputs, kernel, bias, dtype), recurrent, carry, mask)


def natively(dtype: DType) -> bool:
    """Whether what is compiled now runs in the native kernel."""
    return cpu.available() and dtype == "float32" and not shared_units()


def shared_units() -> bool:
    """Whether this is compiled for devices that share the hidden units."""
    return jax.sharding.get_abstract_mesh().shape.get("model", 1) > 1


def _by_gate(array: Array) -> Array:
    """``[..., 4 * hidden]`` → ``[..., 4, hidden]``, the units along the mesh's ``model`` axis where there is one."""
    array = array.reshape(*array.shape[:-1], 4, array.shape[-1] // 4)
    if not shared_units():
        return array
    free = [PartitionSpec.UNCONSTRAINED] * (array.ndim - 1)
    return lax.with_sharding_constraint(array, PartitionSpec(*free, "model"))


def product(a: Array, b: Array, dtype: DType) -> Array:
    """``a b`` of float32 arrays ``[..., k]`` and ``[k, ...]``, computed in ``dtype`` with float32 sums."""
    return jnp.tensordot(a.astype(dtype), b.astype(dtype), 1, preferred_element_type=jnp.float32)


def sum_of_products(a: Array, b: Array, dtype: DType) -> Array:
    """``a^T b`` over time and batch: ``[time, batch, m]`` and ``[time, batch, ...]`` → ``[m, ...]``."""
    pairs = ((0, 1), (0, 1))
    return jnp.tensordot(a.astype(dtype), b.astype(dtype), pairs, preferred_element_type=jnp.float32)


def _tanh_scale() -> Array:
    """1/2 for the three sigmoid gates and 1 for g, ``[4, 1]``.

    ``sigmoid(z) = tanh(z / 2) / 2 + 1/2``, so one tanh over the whole pre-activation serves all four gates. Halving is
    exact in floating point, so it may be done to ``x`` and ``R`` beforehand.
    """
    return jnp.array([[0.5], [0.5], [1.0], [0.5]], jnp.float32)


def masked(h: Array, mask: Array | None) -> Array:
    """A state times a mask, where there is one."""
    return h if mask is None else h * mask


def _step(
    scaled: Array, scaled_recurrent: Array, carry: Carry, dtype: DType, mask: Array | None = None
) -> tuple[Array, Array, Array]:
    """One step from pre-scaled arrays: the new ``h`` and ``c`` and the gates ``[batch, 4, hidden]``."""
    h, c = carry
    scale = _tanh_scale()
    # Without the barrier XLA fuses the tanh into each of the four slices below and computes it several times over.
    activation = lax.optimization_barrier(jnp.tanh(scaled + product(masked(h, mask), scaled_recurrent, dtype)))
    gates = activation * scale + (1 - scale)
    i, f, g, o = (gates[:, k] for k in range(4))
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return h, c, gates


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm_scan(
    dtype: DType, projected: Array, recurrent: Array, carry: Carry, mask: Array | None = None
) -> tuple[Array, Carry]:
    """``lstm`` in JAX, for every kind of device: from ``x W + b`` of every step, ``[time, batch, 4 * hidden]``."""
    scaled_recurrent = _by_gate(recurrent) * _tanh_scale()

    def step(carry: Carry, scaled: Array) -> tuple[Carry, Array]:
        h, c, _ = _step(scaled, scaled_recurrent, carry, dtype, mask)
        return (h, c), h

    carry, hs = lax.scan(step, carry, _by_gate(projected) * _tanh_scale())
    return hs, carry


def _lstm_forward(
    dtype: DType, projected: Array, recurrent: Array, carry: Carry, mask: Array | None = None
) -> tuple[tuple[Array, Carry], tuple]:
    scaled_recurrent = _by_gate(recurrent) * _tanh_scale()

    def step(carry: Carry, scaled: Array) -> tuple[Carry, tuple[Array, Array, Array]]:
        h, c, gates = _step(scaled, scaled_recurrent, carry, dtype, mask)
        return (h, c), (h, c, gates.astype(dtype))

    last, (hs, cs, gates) = lax.scan(step, carry, _by_gate(projected) * _tanh_scale())
    return (hs, last), (recurrent, mask, *carry, hs, cs, gates)


def _lstm_backward(
    dtype: DType, residuals: tuple, gradients: tuple[Array, Carry]
) -> tuple[Array, Array, Carry, Array | None]:
    recurrent, mask, h0, c0, hs, cs, gates = residuals
    d_hs, (d_h, d_c) = gradients
    i, f, g, o = (gates[:, :, k].astype(jnp.float32) for k in range(4))  # each [time, batch, hidden]
    h_before = masked(jnp.concatenate([h0[None], hs[:-1]]), mask)
    c_before = jnp.concatenate([c0[None], cs[:-1]])
    tanh_c = jnp.tanh(cs)
    # What each gate's gradient multiplies: dc for i, f, g and dh for o.   [time, batch, 4, hidden]
    factors = jnp.stack([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)], axis=2)
    h_to_c = o * (1 - tanh_c * tanh_c)
    transposed = jnp.transpose(_by_gate(recurrent), (1, 2, 0))  # [4, hidden, hidden]

    def step(carry: tuple[Array, Array], inputs: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        d_h, d_c = carry
        d_hs, factors, h_to_c, f = inputs
        d_h = d_hs + d_h
        d_c = d_c + d_h * h_to_c
        d_z = lax.optimization_barrier(jnp.stack([d_c, d_c, d_c, d_h], axis=1) * factors)
        d_h = jnp.tensordot(d_z.astype(dtype), transposed.astype(dtype), 2, preferred_element_type=jnp.float32)
        return (masked(d_h, mask), d_c * f), d_z

    carry, d_z = lax.scan(step, (d_h, d_c), (d_hs, factors, h_to_c, f), reverse=True)
    d_recurrent = sum_of_products(h_before, d_z, dtype)
    d_mask = None if mask is None else jnp.zeros_like(mask)
    return d_z.reshape(*d_hs.shape[:2], -1), d_recurrent.reshape(recurrent.shape), carry, d_mask


lstm_scan.defvjp(_lstm_forward, _lstm_backward)
