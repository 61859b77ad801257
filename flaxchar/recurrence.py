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

On a CPU ``flaxchar.native`` does the same by a kernel of its own, where it can be compiled.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from flaxchar import native

# (h, c), each [batch, hidden] float32.
Carry = tuple[Array, Array]


def lstm_initial_carry(batch: int, hidden: int) -> Carry:
    """The state before the first character: zeros ``(h, c)``, each ``[batch, hidden]`` float32."""
    zeros = jnp.zeros((batch, hidden), jnp.float32)
    return zeros, zeros


def project(inputs: Array, kernel: Array, bias: Array) -> Array:
    """``x W + b`` of ids ``[...]`` (rows looked up: what a one-hot product is) or vectors ``[..., in]``."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        # The bias is added to the few rows of the table rather than to every time step.
        return jnp.take(kernel + bias, inputs, axis=0)
    return inputs @ kernel + bias


def lstm_step(inputs: Array, kernel: Array, bias: Array, recurrent: Array, carry: Carry) -> tuple[Array, Carry]:
    """One step of the LSTM: ids ``[batch]`` or vectors ``[batch, in]``, otherwise as ``lstm``.

    Returns:
      The new hidden state ``[batch, hidden]`` and the new carry.
    """
    scale = _tanh_scale(recurrent.shape[0])
    h, c, _ = _step(project(inputs, kernel, bias) * scale, recurrent * scale, carry)
    return h, (h, c)


def lstm(inputs: Array, kernel: Array, bias: Array, recurrent: Array, carry: Carry) -> tuple[Array, Carry]:
    """The LSTM over a whole sequence, differentiable in all its arguments but ids.

    Args:
      inputs: time first: ids, int32 ``[time, batch]``, or vectors, float32 ``[time, batch, in]``.
      kernel: ``W``, ``[in, 4 * hidden]``; gates in the order i, f, g, o.
      bias: ``b``, ``[4 * hidden]``.
      recurrent: ``R``, ``[hidden, 4 * hidden]``.
      carry: ``(h, c)`` before the first step, each ``[batch, hidden]``.

    Returns:
      The hidden states ``[time, batch, hidden]`` and the carry after the last step.
    """
    if native.available():
        return native.lstm(inputs, kernel, bias, recurrent, carry)
    return lstm_scan(project(inputs, kernel, bias), recurrent, carry)


def _tanh_scale(hidden: int) -> Array:
    """1/2 for the three sigmoid gates and 1 for g, ``[4 * hidden]``.

    ``sigmoid(z) = tanh(z / 2) / 2 + 1/2``, so one tanh over the whole pre-activation serves all four gates. Halving is
    exact in floating point, so it may be done to ``x`` and ``R`` beforehand.
    """
    half, one = jnp.full(hidden, 0.5), jnp.ones(hidden)
    return jnp.concatenate([half, half, one, half])


def _step(scaled: Array, scaled_recurrent: Array, carry: Carry) -> tuple[Array, Array, Array]:
    """One step from pre-scaled arrays: the new ``h`` and ``c`` and the gates ``[batch, 4 * hidden]``."""
    h, c = carry
    scale = _tanh_scale(h.shape[-1])
    # Without the barrier XLA fuses the tanh into each of the four slices below and computes it several times over.
    activation = lax.optimization_barrier(jnp.tanh(scaled + h @ scaled_recurrent))
    gates = activation * scale + (1 - scale)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return h, c, gates


@jax.custom_vjp
def lstm_scan(projected: Array, recurrent: Array, carry: Carry) -> tuple[Array, Carry]:
    """``lstm`` in JAX, for every kind of device: from ``x W + b`` of every step, ``[time, batch, 4 * hidden]``."""
    scale = _tanh_scale(recurrent.shape[0])
    scaled_recurrent = recurrent * scale

    def step(carry: Carry, scaled: Array) -> tuple[Carry, Array]:
        h, c, _ = _step(scaled, scaled_recurrent, carry)
        return (h, c), h

    carry, hs = lax.scan(step, carry, projected * scale)
    return hs, carry


def _lstm_forward(projected: Array, recurrent: Array, carry: Carry) -> tuple[tuple[Array, Carry], tuple[Array, ...]]:
    scale = _tanh_scale(recurrent.shape[0])
    scaled_recurrent = recurrent * scale

    def step(carry: Carry, scaled: Array) -> tuple[Carry, tuple[Array, Array, Array]]:
        h, c, gates = _step(scaled, scaled_recurrent, carry)
        return (h, c), (h, c, gates)

    last, (hs, cs, gates) = lax.scan(step, carry, projected * scale)
    return (hs, last), (recurrent, *carry, hs, cs, gates)


def _lstm_backward(residuals: tuple[Array, ...], gradients: tuple[Array, Carry]) -> tuple[Array, Array, Carry]:
    recurrent, h0, c0, hs, cs, gates = residuals
    d_hs, (d_h, d_c) = gradients
    i, f, g, o = jnp.split(gates, 4, axis=-1)  # each [time, batch, hidden]
    h_before = jnp.concatenate([h0[None], hs[:-1]])
    c_before = jnp.concatenate([c0[None], cs[:-1]])
    tanh_c = jnp.tanh(cs)
    # What each gate's gradient multiplies: dc for i, f, g and dh for o.   [time, batch, 4 * hidden]
    factors = jnp.concatenate([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)], axis=-1)
    h_to_c = o * (1 - tanh_c * tanh_c)

    def step(carry: Carry, inputs: tuple[Array, ...]) -> tuple[Carry, Array]:
        d_h, d_c = carry
        d_hs, factors, h_to_c, f = inputs
        d_h = d_hs + d_h
        d_c = d_c + d_h * h_to_c
        d_z = lax.optimization_barrier(jnp.concatenate([d_c, d_c, d_c, d_h], axis=-1) * factors)
        return (d_z @ recurrent.T, d_c * f), d_z

    carry, d_z = lax.scan(step, (d_h, d_c), (d_hs, factors, h_to_c, f), reverse=True)
    d_recurrent = jnp.einsum("tbh,tbz->hz", h_before, d_z)
    return d_z, d_recurrent, carry


lstm_scan.defvjp(_lstm_forward, _lstm_backward)
