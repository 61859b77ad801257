"""The model: characters in, logits of the next character out, with a recurrent state that goes in and comes out.

Everything that imports Flax is here. The modules only name and initialise parameters; the mathematics is in
``flaxchar.recurrence``.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from flaxchar import native
from flaxchar.config import ModelConfig
from flaxchar.recurrence import Carry, DType, lstm, lstm_initial_carry, lstm_step, shared_units

Params = dict[str, Any]


class LSTMLayer(nn.Module):
    """One LSTM layer: owns ``kernel`` ``[in, 4 * hidden]``, ``recurrent_kernel`` ``[hidden, 4 * hidden]``, ``bias``.

    Attributes:
      features: size of the input.
      hidden: units.
      dtype: of the matrix products.
      kernel_init: how ``kernel`` starts; the recurrent kernel starts orthogonal, the bias at 0 but for the forget
        gate's 1, as in Keras.
    """

    features: int
    hidden: int
    dtype: DType = "float32"
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    def setup(self) -> None:
        """Declare the parameters."""
        gates = 4 * self.hidden
        self.kernel = self.param("kernel", self.kernel_init, (self.features, gates))
        self.recurrent_kernel = self.param("recurrent_kernel", nn.initializers.orthogonal(), (self.hidden, gates))
        self.bias = self.param("bias", _forget_gate_ones, (gates,))

    def __call__(self, inputs: Array, carry: Carry) -> tuple[Array, Carry]:
        """Ids ``[time, batch]`` or vectors ``[time, batch, in]`` → hidden ``[time, batch, hidden]`` and the carry."""
        return lstm(inputs, self.kernel, self.bias, self.recurrent_kernel, carry, self.dtype)

    def step(self, inputs: Array, carry: Carry) -> tuple[Array, Carry]:
        """Ids ``[batch]`` or vectors ``[batch, in]`` → hidden states ``[batch, hidden]`` and carry."""
        return lstm_step(inputs, self.kernel, self.bias, self.recurrent_kernel, carry, self.dtype)


class CharLM(nn.Module):
    """A character-level language model: stacked recurrent layers, then a dense layer to logits.

    Attributes:
      vocab: size of the vocabulary, padding and ``<eos>`` included.
      config: cell, layers, units, dropout, initial scale.

    Example::

        model = CharLM(vocab=84)
        params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]   # 119,892 numbers
        logits, carry = model.apply({"params": params}, ids)                             # [batch, time, 84]
    """

    vocab: int
    config: ModelConfig = ModelConfig()

    def setup(self) -> None:
        """Declare the layers."""
        hidden = self.config.hidden
        # Of a one-hot input only one number is on, so an input row is one character's whole contribution. Glorot's rule
        # counts all `vocab` inputs and starts the rows far too small for that.
        unit = self.config.input_init == "unit"
        first = nn.initializers.normal(1.0) if unit else nn.initializers.glorot_uniform()
        self.lstm = [LSTMLayer(self.vocab, hidden, self.config.dtype, first)] + [
            LSTMLayer(hidden, hidden, self.config.dtype) for _ in range(self.config.layers - 1)
        ]
        # Sums in float32, whatever the factors are.
        product = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
        self.logits = nn.Dense(self.vocab, dtype=self.config.dtype, dot_general=product)

    def initial_carry(self, batch: int) -> tuple[Carry, ...]:
        """The state before the first character: for each layer ``(h, c)``, each ``[batch, hidden]`` float32 zeros."""
        return tuple(lstm_initial_carry(batch, self.config.hidden) for _ in range(self.config.layers))

    def __call__(
        self, inputs: Array, carry: tuple[Carry, ...] | None = None, dropout_keys: Array | None = None
    ) -> tuple[Array, tuple[Carry, ...]]:
        """Logits for the character after each input.

        Args:
          inputs: ids, int32 ``[batch, time]``, or the same one-hot, float32 ``[batch, time, vocab]``.
          carry: the state after the text before, as this returns it; None for the start of a text.
          dropout_keys: apply dropout, with a random key for each row, ``[batch]``.

        Returns:
          Logits ``[batch, time, vocab]`` float32, and the carry after the last step (padding steps included).
        """
        hidden, last = self._hidden(inputs, carry, dropout_keys)
        return self.logits(jnp.swapaxes(hidden, 0, 1)), last

    def cross_entropy(
        self,
        inputs: Array,
        targets: Array,
        carry: tuple[Carry, ...] | None = None,
        dropout_keys: Array | None = None,
    ) -> tuple[Array, tuple[Carry, ...]]:
        """Nats of each target, float32 ``[batch, time]``: the loss without the detour over logits in memory.

        Args: as calling the model, and ``targets``, int32 ``[batch, time]``.
        """
        hidden, last = self._hidden(inputs, carry, dropout_keys)
        targets = jnp.swapaxes(targets, 0, 1)  # [time, batch], as everything that is large
        if native.available() and self.config.dtype == "float32" and not shared_units():
            weights = self.logits.variables["params"]
            nats = native.cross_entropy(hidden, weights["kernel"], weights["bias"], targets)
        else:
            nats = optax.softmax_cross_entropy_with_integer_labels(self.logits(hidden), targets)
        return jnp.swapaxes(nats, 0, 1), last

    def _hidden(
        self, inputs: Array, carry: tuple[Carry, ...] | None, dropout_keys: Array | None
    ) -> tuple[Array, tuple[Carry, ...]]:
        """The last layer's outputs ``[time, batch, hidden]`` and the carry."""
        carry = self.initial_carry(inputs.shape[0]) if carry is None else carry
        hidden = jnp.swapaxes(inputs, 0, 1)  # [time, batch] or [time, batch, vocab]
        last = []
        for number, (layer, before) in enumerate(zip(self.lstm, carry, strict=True)):
            hidden, after = layer(hidden, before)
            if dropout_keys is not None and self.config.dropout:
                keys = jax.vmap(jax.random.fold_in, (0, None))(dropout_keys, number)
                hidden = dropout(hidden, self.config.dropout, keys)
            last.append(after)
        return hidden, tuple(last)

    def step(self, ids: Array, carry: tuple[Carry, ...]) -> tuple[Array, tuple[Carry, ...]]:
        """One character: ids ``[batch]`` → logits ``[batch, vocab]`` and the carry."""
        hidden, last = ids, []
        for layer, before in zip(self.lstm, carry, strict=True):
            hidden, after = layer.step(hidden, before)
            last.append(after)
        return self.logits(hidden), tuple(last)


def dropout(values: Array, rate: float, keys: Array) -> Array:
    """Values ``[time, batch, hidden]`` with a share of them 0 and the others scaled up, row ``b`` by key ``b``.

    A key a row, so that a row's share does not depend on which rows are with it on a device. Each value has 16 random
    bits, so the rate is rounded to a multiple of 2^-16. (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html)
    """
    time, _, hidden = values.shape
    words = -(-hidden // 2)
    bits = jax.vmap(lambda key: jax.random.bits(key, (time, words), jnp.uint32), out_axes=1)(keys)
    halves = jax.lax.bitcast_convert_type(bits, jnp.uint16).reshape(time, -1, 2 * words)[:, :, :hidden]
    dropped = round(rate * 2**16)
    return jnp.where(halves < dropped, 0.0, values * (2**16 / (2**16 - dropped)))


def init_params(model: CharLM, key: Array) -> Params:
    """Fresh parameters of a model, a plain pytree of float32 arrays."""
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]


def count_params(params: Params) -> int:
    """How many numbers there are in a pytree of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _forget_gate_ones(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    zeros = jnp.zeros(shape[0] // 4, dtype)
    return jnp.concatenate([zeros, zeros + 1, zeros, zeros])
