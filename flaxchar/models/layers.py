"""The recurrent layer as a Flax module, and dropout.

The Flax module only names and initialises parameters; the mathematics is in ``flaxchar.models.lstm`` and
``flaxchar.models.cells``. Only this file and ``charlm.py`` import Flax.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from flaxchar.data.batches import AnyArray
from flaxchar.kernels import cpu
from flaxchar.kernels.arrays import Carry, LayerInputs, Mask, Starts, Weights
from flaxchar.kernels.random import is_threefry
from flaxchar.models.cells import CELLS, SequenceResult, StepInputs, StepResult
from flaxchar.models.lstm import runs_natively
from flaxchar.models.projection import DType


class LayerView(NamedTuple):
    """What one call of a recurrent layer read and computed.

    Attributes:
      inputs: ids or vectors, ``[time, batch, ...]``, without ``time`` for a single step.
      weights: the parameters, the embedding multiplied in.
      carry: the state before.
      states: the hidden states, ``[time, batch, hidden]``, without ``time`` for a single step.
    """

    inputs: AnyArray
    weights: Weights
    carry: Carry
    states: AnyArray


class RecurrentLayer(nn.Module):
    """A recurrent layer.

    Its parameters are ``kernel`` ``[features, gates * hidden]``, ``bias`` ``[gates * hidden]`` and, if the cell has
    them, ``recurrent_kernel`` ``[hidden, gates * hidden]`` and ``recurrent_bias`` ``[gates * hidden]``. As in Keras,
    the recurrent kernel starts orthogonal, the forget gate's bias at 1 and every other bias at 0.

    Attributes:
      cell: the cell's name in ``CELLS``.
      features: size of the input vectors or of the embedding; for ids without an embedding, of the vocabulary.
      hidden: number of units.
      dtype: the type in which matrix products are computed.
      kernel_init: initialiser of ``kernel``.

    Example::

        layer = RecurrentLayer("gru", features=84, hidden=16)
        carry = (jnp.zeros((2, 16)),)
        params = layer.init(jax.random.key(0), ids, carry)             # ids [time, 2]
        hidden, carry = layer.apply(params, ids, carry)                # [time, 2, 16]
    """

    cell: str
    features: int
    hidden: int
    dtype: DType = "float32"
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    def setup(self) -> None:
        """Declare the parameters."""
        cell = CELLS[self.cell]
        columns = cell.gates * self.hidden
        weights = {
            "kernel": self.param("kernel", self.kernel_init, (self.features, columns), jnp.float32),
            "bias": self.param("bias", self._initial_bias),
        }
        if cell.recurrent:
            recurrent = nn.initializers.orthogonal(), (self.hidden, columns), jnp.float32
            weights["recurrent_kernel"] = self.param("recurrent_kernel", *recurrent)
        if cell.recurrent_bias:
            weights["recurrent_bias"] = self.param("recurrent_bias", nn.initializers.zeros, (columns,), jnp.float32)
        self.weights = weights

    def _initial_bias(self, key: Array) -> Array:
        cell = CELLS[self.cell]
        bias = jnp.zeros((cell.gates, self.hidden), jnp.float32)
        return (bias if cell.forget_gate is None else bias.at[cell.forget_gate].set(1.0)).reshape(-1)

    def __call__(
        self,
        inputs: LayerInputs,
        carry: Carry,
        mask: Mask = None,
        embedding: Float[AnyArray, "rows embedding"] | None = None,
        starts: Starts = None,
    ) -> SequenceResult:
        """The layer over a sequence.

        Args:
          inputs: ids ``[time, batch]`` or vectors ``[time, batch, features]``; with an embedding, ids or one-hot.
          carry: the state before the first step, arrays ``[batch, hidden]``.
          mask: recurrent dropout: multiplies the state before each recurrent product, ``[batch, hidden]``.
          embedding: the vector of each id, ``[rows, features]``; None if ids look up rows of ``kernel`` directly.
          starts: where a text starts and the carry is set to 0, bool ``[time, batch]``; None for nowhere.

        Returns:
          The hidden states ``[time, batch, hidden]`` and the carry after the last step.
        """
        weights = self._weights(embedding)
        result = CELLS[self.cell].sequence(inputs, weights, carry, mask, self.dtype, starts)
        self._show(inputs, weights, carry, result[0])
        return result

    def step(
        self, inputs: StepInputs, carry: Carry, embedding: Float[AnyArray, "rows embedding"] | None = None
    ) -> StepResult:
        """One step: ids ``[batch]`` or vectors ``[batch, features]`` → hidden state ``[batch, hidden]`` and carry."""
        weights = self._weights(embedding)
        result = CELLS[self.cell].step(inputs, weights, carry, self.dtype)
        self._show(inputs, weights, carry, result[0])
        return result

    def _show(self, inputs: AnyArray, weights: Weights, carry: Carry, states: Array) -> None:
        """Store what ``layer_gates`` needs, if the caller makes Flax's collection ``intermediates`` mutable."""
        self.sow("intermediates", "seen", LayerView(inputs, weights, carry, states))

    def _weights(self, embedding: AnyArray | None) -> Weights:
        return self.weights if embedding is None else with_embedding(self.weights, embedding)


def with_embedding(weights: Weights, embedding: Float[AnyArray, "rows embedding"]) -> Weights:
    """A layer's weights with the embedding multiplied into ``kernel``, so that the layer reads ids.

    The product has as few rows as the embedding and serves all time steps, so an embedding costs next to nothing.
    """
    return {**weights, "kernel": embedding @ weights["kernel"]}


def dropout(
    values: Float[AnyArray, "time batch features"], rate: float, keys: Key[Array, " batch"], number: int
) -> Float[Array, "time batch features"]:
    """Dropout: set a share of the values to 0 and scale the others up (Srivastava et al. 2014).

    https://jmlr.org/papers/v15/srivastava14a.html

    Args:
      values: ``[time, batch, features]``.
      rate: share of the values that is dropped, rounded to a multiple of 2^-16, because each value gets 16 random bits.
      keys: a random key for each row, ``[batch]``, so that a row's dropout does not depend on the other rows.
      number: folded into each key, so that the dropouts of one step differ.
    """
    time, _, features = values.shape
    words = -(-features // 2)
    if runs_natively("float32") and is_threefry(keys):
        bits = cpu.random_bits(keys, number, time, words)
    else:
        bits = jax.vmap(
            lambda key: jax.random.bits(jax.random.fold_in(key, number), (time, words), jnp.uint32), out_axes=1
        )(keys)
    halves = jax.lax.bitcast_convert_type(bits, jnp.uint16).reshape(time, -1, 2 * words)[:, :, :features]
    dropped = min(round(rate * 2**16), 2**16 - 1)
    return jnp.where(halves < dropped, 0.0, values * (2**16 / (2**16 - dropped)))
