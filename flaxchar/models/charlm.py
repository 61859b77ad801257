"""The model: characters in, logits of the next character out, with a recurrent state that goes in and comes out.

Everything that imports Flax is here. The modules only name and initialise parameters; the mathematics is in
``flaxchar.models.lstm`` and ``flaxchar.models.cells``.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from flaxchar.config import ModelConfig
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.kernels import cpu
from flaxchar.models.attention import attend, attend_step, empty_memory
from flaxchar.models.cells import CELLS
from flaxchar.models.lstm import Carry, DType, natively

Params = dict[str, Any]


class RecurrentLayer(nn.Module):
    """One recurrent layer: owns ``kernel`` ``[in, gates * hidden]``, ``bias`` and, by its cell, more.

    That is ``recurrent_kernel`` ``[hidden, gates * hidden]`` and ``recurrent_bias`` ``[gates * hidden]``.

    Attributes:
      cell: its name in ``CELLS``.
      features: size of the input.
      hidden: units.
      dtype: of the matrix products.
      kernel_init: how ``kernel`` starts; the recurrent kernel starts orthogonal, biases at 0 but for a forget gate's 1,
        as in Keras.
    """

    cell: str
    features: int
    hidden: int
    dtype: DType = "float32"
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    def setup(self) -> None:
        """Declare the parameters."""
        cell = CELLS[self.cell]
        gates = cell.gates * self.hidden
        weights = {
            "kernel": self.param("kernel", self.kernel_init, (self.features, gates), jnp.float32),
            "bias": self.param("bias", self._initial_bias),
        }
        if cell.recurrent:
            recurrent = self.param("recurrent_kernel", nn.initializers.orthogonal(), (self.hidden, gates), jnp.float32)
            weights["recurrent_kernel"] = recurrent
        if cell.recurrent_bias:
            weights["recurrent_bias"] = self.param("recurrent_bias", nn.initializers.zeros, (gates,), jnp.float32)
        self.weights = weights

    def _initial_bias(self, key: Array) -> Array:
        cell = CELLS[self.cell]
        bias = jnp.zeros((cell.gates, self.hidden), jnp.float32)
        return (bias if cell.forget_gate is None else bias.at[cell.forget_gate].set(1.0)).reshape(-1)

    def __call__(
        self, inputs: Array, carry: Carry, mask: Array | None = None, embedding: Array | None = None
    ) -> tuple[Array, Carry]:
        """Ids ``[time, batch]`` or vectors ``[time, batch, in]`` → hidden ``[time, batch, hidden]`` and the carry.

        ``mask`` ``[batch, hidden]`` multiplies the state before each recurrent product; ``embedding`` ``[vocab, in]``
        holds the vectors that ids stand for.
        """
        return CELLS[self.cell].sequence(inputs, self._reading(embedding), carry, mask, self.dtype)

    def step(self, inputs: Array, carry: Carry, embedding: Array | None = None) -> tuple[Array, Carry]:
        """Ids ``[batch]`` or vectors ``[batch, in]`` → hidden states ``[batch, hidden]`` and carry."""
        return CELLS[self.cell].step(inputs, self._reading(embedding), carry, self.dtype)

    def _reading(self, embedding: Array | None) -> dict[str, Array]:
        return self.weights if embedding is None else with_embedding(self.weights, embedding)


class CharLM(nn.Module):
    """A character-level language model: stacked recurrent layers, then a dense layer to logits.

    Attributes:
      vocab: size of the vocabulary, padding and ``<eos>`` included.
      config: cell, layers, units, embedding, dropout, initial scale.
      source_end: the id up to which a text is the source that the rest is written from; None for none.

    Example::

        model = CharLM(vocab=84)
        params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]   # 119,892 numbers
        logits, carry = model.apply({"params": params}, ids)                             # [batch, time, 84]
    """

    vocab: int
    config: ModelConfig = ModelConfig()
    source_end: int | None = None

    def setup(self) -> None:
        """Declare the layers."""
        hidden, embedding = self.config.hidden, self.config.embedding
        if embedding:
            self.embedding = self.param("embedding", nn.initializers.normal(1.0), (self.vocab, embedding), jnp.float32)
        # Of a one-hot input only one number is on, so an input row is one character's whole contribution. Glorot's rule
        # counts all `vocab` inputs and starts the rows far too small for that, and with an embedding still too small.
        unit = nn.initializers.normal(1 / math.sqrt(embedding or 1))
        first = unit if self.config.input_init == "unit" else nn.initializers.glorot_uniform()
        layer = functools.partial(RecurrentLayer, self.config.cell, dtype=self.config.dtype)
        layers = [layer(embedding or self.vocab, hidden, kernel_init=first)]
        layers += [layer(hidden, hidden) for _ in range(self.config.layers - 1)]
        setattr(self, self.config.cell, layers)  # named lstm_0, lstm_1 … among the parameters
        if self.config.layer_norm:
            self.norm = [nn.LayerNorm() for _ in range(self.config.layers)]
        if self.source_end is not None:
            self.query = self.param("query", lambda _: jnp.eye(hidden, dtype=jnp.float32))
            self.found = self.param("found", nn.initializers.zeros, (hidden, hidden), jnp.float32)
            self.coverage = self.param("coverage", nn.initializers.zeros, (), jnp.float32)
            if embedding:
                self.writing = self.param("writing", nn.initializers.zeros, (embedding,), jnp.float32)
        # Sums in float32, whatever the factors are.
        product = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
        self.logits = nn.Dense(self.vocab, dtype=self.config.dtype, dot_general=product)

    def initial_carry(self, batch: int) -> tuple[Carry, ...]:
        """The state before the first character: of each layer, of an LSTM ``(h, c)``; zeros ``[batch, hidden]``."""
        zeros = jnp.zeros((batch, self.config.hidden), jnp.float32)
        return ((zeros,) * CELLS[self.config.cell].states,) * self.config.layers

    def initial_step_carry(self, batch: int, length: int) -> tuple:
        """The state before the first ``step``; with sources, also room for what the first ``length`` steps read."""
        carry = self.initial_carry(batch)
        return carry if self.source_end is None else (*carry, empty_memory(batch, length, self.config.hidden))

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
        if natively(self.config.dtype):
            weights = self.logits.variables["params"]
            nats = cpu.cross_entropy(hidden, weights["kernel"], weights["bias"], targets)
        else:
            nats = optax.softmax_cross_entropy_with_integer_labels(self.logits(hidden), targets)
        return jnp.swapaxes(nats, 0, 1), last

    def _hidden(
        self, inputs: Array, carry: tuple[Carry, ...] | None, dropout_keys: Array | None
    ) -> tuple[Array, tuple[Carry, ...]]:
        """The last layer's outputs ``[time, batch, hidden]`` and the carry."""
        config = self.config
        carry = self.initial_carry(inputs.shape[0]) if carry is None else carry
        hidden = jnp.swapaxes(inputs, 0, 1)  # [time, batch] or [time, batch, vocab]
        ended = None
        if self.source_end is not None:
            hidden = hidden if hidden.ndim == 2 else hidden.argmax(-1)
            ended = jnp.cumsum(hidden == self.source_end, 0) > 0  # [time, batch]
        hidden, embedding = self._embedded(hidden, ended)
        if embedding is not None and dropout_keys is not None and config.input_dropout:
            hidden = embedding[hidden] if hidden.ndim == 2 else hidden @ embedding  # [time, batch, embedding]
            keys = jax.vmap(jax.random.fold_in, (0, None))(dropout_keys, 2 * config.layers)
            hidden, embedding = dropout(hidden, config.input_dropout, keys), None
        last = []
        for number, (layer, before) in enumerate(zip(getattr(self, config.cell), carry, strict=True)):
            mask = None
            if dropout_keys is not None and config.recurrent_dropout:
                keys = jax.vmap(jax.random.fold_in, (0, None))(dropout_keys, config.layers + number)
                mask = dropout(jnp.ones((1, *before[0].shape), jnp.float32), config.recurrent_dropout, keys)[0]
            outputs, after = layer(self._into(number, hidden), before, mask, None if number else embedding)
            if dropout_keys is not None and config.dropout:
                keys = jax.vmap(jax.random.fold_in, (0, None))(dropout_keys, number)
                outputs = dropout(outputs, config.dropout, keys)
            hidden = self._out_of(number, hidden, outputs)
            last.append(after)
        if ended is not None:
            hidden = attend(hidden, ended, self.query, self.found, self.coverage)
        if config.head == "classifier":
            # Of each step the mean over what has been read so far: padding, which comes after, is in none that counts.
            hidden = jnp.cumsum(hidden, 0) / jnp.arange(1, len(hidden) + 1)[:, None, None]
        return hidden, tuple(last)

    def step(self, ids: Array, carry: tuple) -> tuple[Array, tuple]:
        """One character: ids ``[batch]`` → logits ``[batch, vocab]`` and the carry, ``initial_step_carry`` at first."""
        end = None if self.source_end is None else ids == self.source_end
        hidden, embedding = self._embedded(ids, None if end is None else end | ~carry[-1].reading)
        last = []
        carries = carry[: self.config.layers]
        for number, (layer, before) in enumerate(zip(getattr(self, self.config.cell), carries, strict=True)):
            outputs, after = layer.step(self._into(number, hidden), before, None if number else embedding)
            hidden = self._out_of(number, hidden, outputs)
            last.append(after)
        if end is not None:
            hidden, memory = attend_step(hidden, carry[-1], end, self.query, self.found, self.coverage)
            last.append(memory)
        return self.logits(hidden), tuple(last)

    def _embedded(self, ids: Array, ended: Array | None) -> tuple[Array, Array | None]:
        """Ids, and the vectors ``[ids, embedding]`` they stand for, where there is an embedding.

        ``ended``: where a source is read to its end, of the ids' shape. What is written from it is fed as characters of
        its own, to whose vectors ``writing`` is added: else the state soon forgets which of the two it is in.
        """
        if not self.config.embedding:
            return ids, None
        if ended is None:
            return ids, self.embedding
        return ids + self.vocab * ended, jnp.concatenate([self.embedding, self.embedding + self.writing])

    def _into(self, number: int, hidden: Array) -> Array:
        """What a layer reads of what the layers before it gave."""
        return self.norm[number - 1](hidden) if self.config.layer_norm and number > 0 else hidden

    def _out_of(self, number: int, hidden: Array, outputs: Array) -> Array:
        """What is handed on after a layer: what it gave, what it read too, the last of it normalised."""
        hidden = hidden + outputs if self.config.residual and number > 0 else outputs
        return self.norm[-1](hidden) if self.config.layer_norm and number == self.config.layers - 1 else hidden


def with_embedding(weights: dict[str, Array], embedding: Array) -> dict[str, Array]:
    """A layer's weights for ids instead of the vectors they stand for, ``[vocab, in]``.

    The product of the vocabulary's few rows serves all time steps, so that an embedding costs next to nothing.
    """
    return {**weights, "kernel": embedding @ weights["kernel"]}


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


def make_model(vocabulary: Vocabulary, config: ModelConfig) -> CharLM:
    """The model of texts of a vocabulary."""
    return CharLM(vocabulary.size, config, None if vocabulary.classifies else vocabulary.source_end)


def init_params(model: CharLM, key: Array) -> Params:
    """Fresh parameters of a model, a plain pytree of float32 arrays."""
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]


def count_params(params: Params) -> int:
    """How many numbers there are in a pytree of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
