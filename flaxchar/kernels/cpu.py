"""The native kernel's recurrent layer and cross-entropy, with their gradients, and its random bits, as JAX functions.

``flaxchar.models`` calls them if ``build.available()``. The same functions in plain JAX are
``flaxchar.models.cells.CELLS[...].sequence``, Optax's ``softmax_cross_entropy_with_integer_labels`` and
``jax.random.bits``. All real numbers are float32. No bit of a result depends on the number of threads, and no bit of a
row's results depends on the other rows of the batch.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Float32, Int, Key, UInt32

from flaxchar.data.batches import AnyArray
from flaxchar.kernels import build
from flaxchar.kernels.arrays import Carry, LayerInputs, Mask, Weights

# Pre-activations that the kernel computes for each unit, by cell. The order is that of `Cell` in src/layer.h.
_GATES = {"lstm": 4, "gru": 4, "rnn": 1}
# The cells that the native kernel implements.
NATIVE_CELLS = tuple(_GATES)


def sequence(
    cell: str, inputs: LayerInputs, weights: Weights, carry: Carry, mask: Mask
) -> tuple[Float32[Array, "time batch hidden"], Carry]:
    """A recurrent layer over a sequence, differentiable in vector inputs, weights and carry.

    Args:
      cell: one of ``NATIVE_CELLS``.
      inputs: time first: ids, int32 ``[time, batch]``, or vectors, float32 ``[time, batch, features]``.
      weights: the layer's parameters.
      carry: the state before the first step, arrays ``[batch, hidden]``.
      mask: recurrent dropout: multiplies the state before each recurrent product, ``[batch, hidden]``; not
        differentiated. None for no dropout.

    Returns:
      The hidden states ``[time, batch, hidden]`` and the carry after the last step.

    Raises:
      TypeError: an array has a wrong dtype. The kernel does not convert, and would read the bits as they are.
      ValueError: an array has a wrong shape. The kernel does not broadcast, and would read beyond the array.
    """
    arrays = jax.tree.map(jnp.asarray, (inputs, *stacked_gates(cell, weights), carry, mask))
    _check_layer(cell, *arrays)
    if 0 in inputs.shape[:2]:
        return jnp.zeros((*inputs.shape[:2], arrays[3].shape[0]), jnp.float32), arrays[4]
    return _sequence(cell, *arrays)


def _check_layer(
    cell: str, inputs: AnyArray, kernel: AnyArray, bias: AnyArray, recurrent: AnyArray, carry: Carry, mask: Mask
) -> None:
    if inputs.ndim not in (2, 3):
        raise ValueError(f"`inputs` has the shape {inputs.shape}; ids have 2 dimensions, and vectors 3")
    batch, hidden = inputs.shape[1], recurrent.shape[0]
    gates, states = _GATES[cell] * hidden, 2 if cell == "lstm" else 1
    _check("inputs", inputs, inputs.shape, jnp.int32 if inputs.ndim == 2 else jnp.float32)
    if len(carry) != states:
        raise ValueError(f"`carry` has {len(carry)} arrays; that of a layer of {cell} has {states}")
    _check("kernel", kernel, (*(kernel.shape[:1] if inputs.ndim == 2 else inputs.shape[2:]), gates))
    _check("bias", bias, (gates,))
    _check("recurrent_kernel", recurrent, (hidden, gates))
    for name, array in (*(("carry", state) for state in carry), ("mask", mask)):
        if array is not None:
            _check(name, array, (batch, hidden))


def stacked_gates(cell: str, weights: Weights) -> tuple[AnyArray, AnyArray, AnyArray]:
    """A layer's ``kernel``, ``bias`` and ``recurrent_kernel`` in the order in which the native kernel reads them.

    A GRU gets four pre-activations instead of three: z, r, the input part of n and the state part of n. The two parts
    of n stay apart because r multiplies only the state part. The weights of the other cells are returned unchanged.
    """
    kernel, bias, recurrent = weights["kernel"], weights["bias"], weights["recurrent_kernel"]
    if cell != "gru":
        return kernel, bias, recurrent
    hidden = recurrent.shape[0]

    def four(input_part: AnyArray, state_part: AnyArray) -> Array:
        both = (input_part + state_part)[..., : 2 * hidden]
        return jnp.concatenate([both, input_part[..., 2 * hidden :], state_part[..., 2 * hidden :]], axis=-1)

    return (
        four(kernel, jnp.zeros_like(kernel)),
        four(bias, weights["recurrent_bias"]),
        four(jnp.zeros_like(recurrent), recurrent),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sequence(
    cell: str, inputs: AnyArray, kernel: AnyArray, bias: AnyArray, recurrent: AnyArray, carry: Carry, mask: Mask
) -> tuple[Array, Carry]:
    return _sequence_forward(cell, inputs, kernel, bias, recurrent, carry, mask)[0]


def _sequence_forward(
    cell: str, inputs: AnyArray, kernel: AnyArray, bias: AnyArray, recurrent: AnyArray, carry: Carry, mask: Mask
) -> tuple:
    (time, batch), hidden = inputs.shape[:2], recurrent.shape[0]
    states, nothing = _shape(time, batch, hidden), _shape(0)
    shapes = [
        states,
        states if cell == "lstm" else nothing,
        nothing if cell == "rnn" else _shape(time, batch, _in_panels(_GATES[cell] * hidden)),
        nothing if mask is None else states,
    ]
    h, c = (*carry, None)[:2]
    # Ids look up rows of the kernel. Adding the bias to these few rows is cheaper than adding it at every time step.
    read = (inputs, kernel + bias, None) if inputs.ndim == 2 else (inputs, kernel, bias)
    outputs = _call("forward", shapes, *read, recurrent, h, c, mask, cell=cell)
    last = tuple(states[-1] for states in outputs[: len(carry)])
    return (outputs[0], last), (inputs, kernel, bias, recurrent, carry, mask, outputs)


def _sequence_backward(cell: str, residuals: tuple, gradients: tuple[AnyArray, tuple]) -> tuple:
    inputs, kernel, bias, recurrent, carry, mask, outputs = residuals
    d_hs, d_carry = gradients
    h, c = (*carry, None)[:2]
    d_h, d_c = (*d_carry, None)[:2]
    ids = inputs.ndim == 2
    read = (inputs, kernel, None if ids else bias)
    shapes = [
        _shape_of(None if ids else inputs),
        _shape_of(kernel),
        _shape_of(None if ids else bias),
        _shape_of(recurrent),
        _shape_of(h),
        _shape_of(None if cell == "rnn" else h),
    ]
    states = recurrent, h, c, mask, *outputs, d_hs, d_h, d_c
    vectors, d_kernel, biases, d_recurrent, d_recurrent_input, d_direct = _call(
        "backward", shapes, *read, *states, cell=cell
    )
    # Ids have no gradient. The forward pass added the bias to every row of the kernel, so d_bias sums over the rows.
    d_inputs, d_bias = (None, d_kernel.sum(0)) if ids else (vectors, biases)
    d_h_before = d_recurrent_input if mask is None else d_recurrent_input * mask
    if cell == "gru":
        d_h_before = d_h_before + d_direct
    d_carry = (d_h_before, d_direct)[: len(carry)]
    return d_inputs, d_kernel, d_bias, d_recurrent, d_carry, None if mask is None else jnp.zeros_like(mask)


_sequence.defvjp(_sequence_forward, _sequence_backward)


@jax.custom_vjp
def cross_entropy(
    inputs: Float[AnyArray, "*pairs features"],
    kernel: Float[AnyArray, "features vocab"],
    bias: Float[AnyArray, " vocab"],
    targets: Int[AnyArray, "*pairs"],
) -> Float32[Array, "*pairs"]:
    """Cross-entropy of targets under the softmax of the logits ``inputs W + b``.

    Args:
      inputs: float32 ``[..., features]``.
      kernel: ``W``, float32 ``[features, vocab]``.
      bias: ``b``, float32 ``[vocab]``.
      targets: ids, int32 ``[...]``.

    Returns:
      Nats, float32 ``[...]``.

    Raises:
      TypeError: an array has a wrong dtype.
      ValueError: an array has a wrong shape.
    """
    return _cross_entropy_forward(inputs, kernel, bias, targets)[0]


def _cross_entropy_forward(
    inputs: AnyArray, kernel: AnyArray, bias: AnyArray, targets: AnyArray
) -> tuple[Array, tuple]:
    _check("inputs", inputs, inputs.shape)
    _check("kernel", kernel, (inputs.shape[-1], kernel.shape[-1]))
    _check("bias", bias, kernel.shape[1:])
    _check("targets", targets, inputs.shape[:-1], jnp.int32)
    shapes = [_shape(*targets.shape), _shape(*targets.shape, _in_panels(kernel.shape[1]))]
    nats, softmax = _call("cross_entropy_forward", shapes, inputs, kernel, bias, targets)
    return nats, (inputs, kernel, bias, targets, softmax)


def _cross_entropy_backward(residuals: tuple, d_nats: AnyArray) -> tuple:
    inputs, kernel, bias, targets, softmax = residuals
    if targets.size == 0:
        return *map(jnp.zeros_like, (inputs, kernel, bias)), None
    shapes = [_shape(*array.shape) for array in (inputs, kernel, bias)]
    gradients = _call("cross_entropy_backward", shapes, inputs, kernel, None, targets, d_nats, softmax)
    return *gradients, None


cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def random_bits(keys: Key[Array, " batch"], number: int, time: int, words: int) -> UInt32[Array, "time batch words"]:
    """Random bits for each row of a batch, equal to ``jax.random.bits(fold_in(keys[row], number), (time, words))``.

    The kernel saves compilation: JAX would trace, lower and compile the rounds of Threefry for every batch width.

    Args:
      keys: a random key for each row, of the default implementation of ``jax.random`` or from ``new_key``.
      number: folded into each key.
      time: time steps.
      words: words of 32 bits for each time step of a row.

    Returns:
      uint32 ``[time, batch, words]``.
    """
    bits = jax.ShapeDtypeStruct((time, len(keys), words), jnp.uint32)
    return _call("random_bits", [bits], jax.random.key_data(keys), jnp.full((1,), number, jnp.int32))[0]


def _call(
    name: str, shapes: list[jax.ShapeDtypeStruct], *arguments: AnyArray | None, cell: str = "lstm"
) -> list[Array]:
    """Call a handler of the library; None becomes an empty array. The handler does not check the arrays."""
    arrays = [jnp.zeros((0,), jnp.float32) if array is None else array for array in arguments]
    call = jax.ffi.ffi_call(f"flaxchar_{name}", shapes, vmap_method="sequential")
    return list(call(*arrays, cell=NATIVE_CELLS.index(cell), threads=build.threads()))


def _check(name: str, array: AnyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> None:
    if array.dtype != dtype:
        raise TypeError(f"`{name}` is an array of {array.dtype}; the native kernel takes {jnp.dtype(dtype)}")
    if array.shape != shape:
        raise ValueError(f"`{name}` has the shape {array.shape}; it must be {shape}")


def _shape(*dimensions: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, jnp.float32)


def _shape_of(array: AnyArray | None) -> jax.ShapeDtypeStruct:
    return _shape(0) if array is None else _shape(*array.shape)


def _in_panels(columns: int) -> int:
    """Round a number of columns up to whole panels."""
    return -(-columns // build.panel()) * build.panel()
