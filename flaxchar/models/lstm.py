"""The LSTM: a pure function from a sequence of inputs and a carry to a sequence of hidden states.

The inputs are projected for all time steps at once; only the recurrent product has to go step by step. The backward
pass is written by hand. With ``h'`` and ``c'`` the state before a step, its pre-activation ``z = x W + b + h' R`` is
split into four gates (Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget gate
of Gers et al. 2000; gate order and form as in Keras)::

    i = sigmoid(z_i)   f = sigmoid(z_f)   g = tanh(z_g)   o = sigmoid(z_o)
    c = f c' + i g                        h = o tanh(c)

With ``dh`` and ``dc`` the gradients that reach ``h`` and ``c`` from the layer above and from later steps::

    dc  += dh o (1 - tanh(c)^2)
    dz_o = dh tanh(c) o (1 - o)
    dz_i = dc g i (1 - i)       dz_f = dc c' f (1 - f)       dz_g = dc i (1 - g^2)
    dh'  = dz R^T               dc'  = dc f
    dR   = sum over steps of h'^T dz

The factors of ``dh`` and ``dc`` do not depend on later steps, so they are computed for all steps at once before the
reverse scan. ``dR`` is computed for all steps at once after it.

A row may hold several texts. Where a text starts, ``h'`` and ``c'`` are set to 0, and so are ``dh'`` and ``dc'``.

On a CPU ``flaxchar.kernels.cpu`` computes the same in C++ if a compiler is available.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec
from jaxtyping import Float, Int

from flaxchar.data.batches import AnyArray
from flaxchar.hardware import this_hardware
from flaxchar.kernels import build, cpu
from flaxchar.kernels.arrays import Carry, LayerInputs, Mask, Starts
from flaxchar.models.projection import DType, product, project, sum_of_products


def lstm_step(
    inputs: Int[AnyArray, " batch"] | Float[AnyArray, "batch features"],
    kernel: Float[AnyArray, "features gates"],
    bias: Float[AnyArray, " gates"],
    recurrent: Float[AnyArray, "hidden gates"],
    carry: Carry,
    dtype: DType = "float32",
) -> tuple[Float[Array, "batch hidden"], Carry]:
    """One step of the LSTM.

    Args:
      inputs: ids, int32 ``[batch]``, or vectors, float32 ``[batch, features]``.
      kernel: ``W``, ``[features, 4 * hidden]``; gates in the order i, f, g, o.
      bias: ``b``, ``[4 * hidden]``.
      recurrent: ``R``, ``[hidden, 4 * hidden]``.
      carry: ``(h, c)`` before the step, each ``[batch, hidden]``.
      dtype: the type in which matrix products are computed.

    Returns:
      The new hidden state ``[batch, hidden]`` and the new carry, float32.

    Example::

        h, carry = lstm_step(ids[0], kernel, bias, recurrent, carry)  # ids [time, batch]
    """
    projected = _by_gate(project(inputs, kernel, bias, dtype))
    h, c, _ = _step(dtype, projected * _tanh_scale(), _scaled(recurrent, dtype), carry)
    return h, (h, c)


def lstm(
    inputs: LayerInputs,
    kernel: Float[AnyArray, "features gates"],
    bias: Float[AnyArray, " gates"],
    recurrent: Float[AnyArray, "hidden gates"],
    carry: Carry,
    dtype: DType = "float32",
    mask: Mask = None,
    starts: Starts = None,
) -> tuple[Float[Array, "time batch hidden"], Carry]:
    """The LSTM over a whole sequence, differentiable in every argument except ids, mask and starts.

    Args:
      inputs: time first: ids, int32 ``[time, batch]``, or vectors, float32 ``[time, batch, features]``.
      kernel: ``W``, ``[features, 4 * hidden]``; gates in the order i, f, g, o.
      bias: ``b``, ``[4 * hidden]``.
      recurrent: ``R``, ``[hidden, 4 * hidden]``.
      carry: ``(h, c)`` before the first step, each ``[batch, hidden]``.
      dtype: the type in which matrix products are computed.
      mask: recurrent dropout: multiplies the hidden state before each recurrent product, ``[batch, hidden]``. None for
        no dropout.
      starts: where the carry is set to 0 before the step, because a text starts there, bool ``[time, batch]``. None
        for nowhere.

    Returns:
      The hidden states ``[time, batch, hidden]`` and the carry after the last step, float32.

    Raises:
      TypeError, ValueError: an array has a wrong dtype or shape, where the native kernel computes; JAX raises its own
        errors elsewhere.

    Example::

        ids = jnp.zeros((7, 2), jnp.int32)  # [time, batch]
        kernel, bias, recurrent = jnp.ones((84, 4 * 16)), jnp.zeros(4 * 16), jnp.ones((16, 4 * 16))
        hs, (h, c) = lstm(ids, kernel, bias, recurrent, (jnp.zeros((2, 16)),) * 2)  # hs [7, 2, 16]
    """
    if runs_natively(dtype) and starts is None:
        weights = {"kernel": kernel, "bias": bias, "recurrent_kernel": recurrent}
        return cpu.sequence("lstm", inputs, weights, carry, mask)
    return lstm_scan(dtype, project(inputs, kernel, bias, dtype), recurrent, carry, mask, kept(starts))


def runs_natively(dtype: DType) -> bool:
    """Whether a function traced now uses the native kernel for its recurrence and its loss."""
    return build.available() and dtype == "float32" and not shards_units()


def shards_units() -> bool:
    """Whether a function traced now has its hidden units sharded over devices."""
    return jax.sharding.get_abstract_mesh().shape.get("model", 1) > 1


def _by_gate(array: AnyArray) -> AnyArray:
    """``[..., 4 * hidden]`` → ``[..., 4, hidden]``; if units are sharded, along the mesh's ``model`` axis."""
    array = array.reshape(*array.shape[:-1], 4, array.shape[-1] // 4)
    if not shards_units():
        return array
    free = [PartitionSpec.UNCONSTRAINED] * (array.ndim - 1)
    return lax.with_sharding_constraint(array, PartitionSpec(*free, "model"))


def _tanh_scale() -> Array:
    """1/2 for the three sigmoid gates and 1 for g, ``[4, 1]``.

    ``sigmoid(z) = tanh(z / 2) / 2 + 1/2``, so one tanh over the whole pre-activation serves all four gates. Halving is
    exact in floating point, so ``x W + b`` and ``R`` can be halved beforehand.
    """
    return jnp.array([[0.5], [0.5], [1.0], [0.5]], jnp.float32)


def masked(values: AnyArray, mask: AnyArray | None) -> AnyArray:
    """The values times the mask; the values themselves if the mask is None."""
    return values if mask is None else values * mask


def kept(starts: AnyArray | None) -> Array | None:
    """What the carry is multiplied by before each step: 0 where a text starts, else 1, float32 ``[time, batch, 1]``."""
    return None if starts is None else jnp.where(starts, 0.0, 1.0)[..., None]


def _scaled(recurrent: AnyArray, dtype: DType) -> Array:
    """``R`` times ``_tanh_scale`` as a factor of matrix products, ``[hidden, 4, hidden]`` of ``dtype``."""
    return (_by_gate(recurrent) * _tanh_scale()).astype(dtype)


def _step(
    dtype: DType,
    scaled: AnyArray,
    scaled_recurrent: AnyArray,
    carry: Carry,
    mask: Mask = None,
    keep: AnyArray | None = None,
) -> tuple[Array, Array, Array]:
    """One step, from ``x W + b`` times ``_tanh_scale``, and ``_scaled``. Returns h, c, gates ``[batch, 4, hidden]``."""
    h, c = (masked(state, keep) for state in carry)
    scale = _tanh_scale()
    recurrent_product = product(masked(h, mask), scaled_recurrent, dtype)
    # Without the barrier XLA fuses the tanh into each of the four slices below and computes it several times.
    activation = lax.optimization_barrier(jnp.tanh(scaled + recurrent_product))
    gates = activation * scale + (1 - scale)
    i, f, g, o = (gates[:, k] for k in range(4))
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return h, c, gates


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm_scan(
    dtype: DType,
    projected: AnyArray,
    recurrent: AnyArray,
    carry: Carry,
    mask: Mask = None,
    keep: AnyArray | None = None,
) -> tuple[Array, Carry]:
    """``lstm`` in JAX, for every kind of device, from the input projection ``[time, batch, 4 * hidden]``."""
    scaled_recurrent = _scaled(recurrent, dtype)

    def step(carry: Carry, inputs: tuple[AnyArray, ...]) -> tuple[Carry, Array]:
        scaled, keep = inputs
        h, c, _ = _step(dtype, scaled, scaled_recurrent, carry, mask, keep)
        return (h, c), h

    inputs = _by_gate(projected) * _tanh_scale(), keep
    carry, hs = lax.scan(step, carry, inputs, unroll=this_hardware().unroll)
    return hs, carry


def _lstm_forward(
    dtype: DType,
    projected: AnyArray,
    recurrent: AnyArray,
    carry: Carry,
    mask: Mask = None,
    keep: AnyArray | None = None,
) -> tuple[tuple[Array, Carry], tuple]:
    scaled_recurrent = _scaled(recurrent, dtype)

    def step(carry: Carry, inputs: tuple[AnyArray, ...]) -> tuple[Carry, tuple[Array, Array, Array]]:
        scaled, keep = inputs
        h, c, gates = _step(dtype, scaled, scaled_recurrent, carry, mask, keep)
        return (h, c), (h, c, gates.astype(dtype))

    inputs = _by_gate(projected) * _tanh_scale(), keep
    last, (hs, cs, gates) = lax.scan(step, carry, inputs, unroll=this_hardware().unroll)
    return (hs, last), (recurrent, mask, keep, *carry, hs, cs, gates)


def _lstm_backward(
    dtype: DType, residuals: tuple, gradients: tuple[AnyArray, Carry]
) -> tuple[Array, Array, Carry, Array | None, Array | None]:
    recurrent, mask, keep, h0, c0, hs, cs, gates = residuals
    d_hs, (d_h, d_c) = gradients
    i, f, g, o = (gates[:, :, k].astype(jnp.float32) for k in range(4))  # each [time, batch, hidden]
    h_before = masked(masked(jnp.concatenate([h0[None], hs[:-1]]), keep), mask)
    c_before = masked(jnp.concatenate([c0[None], cs[:-1]]), keep)
    tanh_c = jnp.tanh(cs)
    # dz is these factors times dc for i, f, g, and times dh for o.   [time, batch, 4, hidden]
    factors = jnp.stack([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)], axis=2)
    h_to_c = o * (1 - tanh_c * tanh_c)
    transposed = jnp.transpose(_by_gate(recurrent), (1, 2, 0)).astype(dtype)  # [4, hidden, hidden]

    def step(carry: tuple[Array, Array], inputs: tuple[AnyArray, ...]) -> tuple[tuple[Array, Array], Array]:
        d_h, d_c = carry
        d_hs, factors, h_to_c, f, keep = inputs
        d_h = d_hs + d_h
        d_c = d_c + d_h * h_to_c
        d_z = lax.optimization_barrier(jnp.stack([d_c, d_c, d_c, d_h], axis=1) * factors)
        d_h = jnp.tensordot(d_z.astype(dtype), transposed, 2, preferred_element_type=jnp.float32)
        return (masked(masked(d_h, mask), keep), masked(d_c * f, keep)), d_z

    inputs = d_hs, factors, h_to_c, f, keep
    carry, d_z = lax.scan(step, (d_h, d_c), inputs, reverse=True, unroll=this_hardware().unroll)
    d_recurrent = sum_of_products(h_before, d_z, dtype)
    d_mask, d_keep = (None if constant is None else jnp.zeros_like(constant) for constant in (mask, keep))
    return d_z.reshape(*d_hs.shape[:2], -1), d_recurrent.reshape(recurrent.shape), carry, d_mask, d_keep


lstm_scan.defvjp(_lstm_forward, _lstm_backward)
