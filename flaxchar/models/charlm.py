"""The language model: from ids and a carry to the logits of the next character and the new carry.

The model is an embedding, stacked recurrent layers, attention to the source for models with sources, and a dense layer
to logits.
"""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from flaxchar.data.batches import AnyArray, Batch
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.kernels import cpu
from flaxchar.kernels.arrays import Carry, Starts
from flaxchar.models.attention import attend, attend_step, empty_memory
from flaxchar.models.cells import CELLS
from flaxchar.models.layers import RecurrentLayer, dropout
from flaxchar.models.lstm import runs_natively
from flaxchar.settings import ModelConfig

Params = dict[str, Any]
# Ids, or their one-hot vectors.
ModelInputs = Int[AnyArray, "batch time"] | Float[AnyArray, "batch time vocab"]
# A random key for each row of a batch.
RowKeys = Key[Array, " batch"]


class CharLM(nn.Module):
    """A character-level language model.

    Attributes:
      vocab: size of the vocabulary, padding and ``<eos>`` included.
      config: cell, layers, units, embedding, dropout, initialisation.
      source_end: the id that ends the source of a text; None for a model without sources.

    Example::

        model = CharLM(vocab=84)
        params = init_params(model, jax.random.key(0))                 # 119,892 parameters
        logits, carry = model.apply({"params": params}, ids)           # ids [batch, time] → [batch, time, 84]
    """

    vocab: int
    config: ModelConfig = ModelConfig()
    source_end: int | None = None

    def setup(self) -> None:
        """Declare the layers."""
        hidden, embedding = self.config.hidden, self.config.embedding
        if embedding:
            self.embedding = self.param("embedding", nn.initializers.normal(1.0), (self.vocab, embedding), jnp.float32)
        # A one-hot input selects a single row of the kernel. Glorot's rule counts all `vocab` inputs, which makes the
        # rows far too small. With an embedding it makes them too small as well.
        unit = nn.initializers.normal(1 / math.sqrt(embedding or 1))
        first = unit if self.config.input_init == "unit" else nn.initializers.glorot_uniform()
        layer = functools.partial(RecurrentLayer, self.config.cell, dtype=self.config.dtype)
        layers = [layer(embedding or self.vocab, hidden, kernel_init=first)]
        layers += [layer(hidden, hidden) for _ in range(self.config.layers - 1)]
        setattr(self, self.config.cell, layers)  # named lstm_0, lstm_1 … among the parameters
        if self.config.layer_norm:
            self.norm = [nn.LayerNorm() for _ in range(self.config.layers)]
        if self.source_end is not None:
            # Saved runs fix these parameter names. The derivation in attention.py calls the first three Q, F and c.
            self.attention_query = self.param("query", lambda _: jnp.eye(hidden, dtype=jnp.float32))
            self.attention_output = self.param("found", nn.initializers.zeros, (hidden, hidden), jnp.float32)
            self.coverage_penalty = self.param("coverage", nn.initializers.zeros, (), jnp.float32)
            if embedding:
                self.text_offset = self.param("writing", nn.initializers.zeros, (embedding,), jnp.float32)
        # Sums are float32, whatever the type of the factors.
        product = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
        self.logits = nn.Dense(self.vocab, dtype=self.config.dtype, dot_general=product)

    def initial_carry(self, batch: int) -> tuple[Carry, ...]:
        """The carry before the first character: zeros ``[batch, hidden]``, ``states`` arrays of its cell a layer."""
        zeros = jnp.zeros((batch, self.config.hidden), jnp.float32)
        return ((zeros,) * CELLS[self.config.cell].states,) * self.config.layers

    def initial_step_carry(self, batch: int, length: int) -> tuple:
        """The carry before the first ``step``. With sources it ends with a memory for ``length`` characters."""
        carry = self.initial_carry(batch)
        return carry if self.source_end is None else (*carry, empty_memory(batch, length, self.config.hidden))

    def __call__(
        self, inputs: ModelInputs, carry: tuple[Carry, ...] | None = None, dropout_keys: RowKeys | None = None
    ) -> tuple[Float[Array, "batch time vocab"], tuple[Carry, ...]]:
        """Logits of the character after each input.

        Args:
          inputs: ids, int32 ``[batch, time]``, or their one-hot vectors, float32 ``[batch, time, vocab]``.
          carry: the carry after the text before; None at the start of a text.
          dropout_keys: a random key for each row, ``[batch]``, for training with dropout; None for no dropout.

        Returns:
          Logits, float32 ``[batch, time, vocab]``, and the carry after the last step, be it padding or not.
        """
        with products(self.config):
            hidden, last = self._hidden(inputs, carry, dropout_keys)
            return self.logits(jnp.swapaxes(hidden, 0, 1)), last

    def cross_entropy(
        self,
        inputs: ModelInputs,
        targets: Int[AnyArray, "batch time"],
        carry: tuple[Carry, ...] | None = None,
        dropout_keys: RowKeys | None = None,
        starts: Bool[AnyArray, "batch time"] | None = None,
    ) -> tuple[Float[Array, "batch time"], tuple[Carry, ...]]:
        """Cross-entropy of each target, computed by the native kernel where it runs.

        Args:
          inputs: ids, int32 ``[batch, time]``, or their one-hot vectors, float32 ``[batch, time, vocab]``.
          targets: ids, int32 ``[batch, time]``.
          carry: the carry after the text before; None at the start of a text.
          dropout_keys: a random key for each row, ``[batch]``, for training with dropout; None for no dropout.
          starts: where a text starts, bool ``[batch, time]``, if a row holds several texts. Not for classifiers or
            models with sources.

        Returns:
          Nats, float32 ``[batch, time]``, and the carry after the last step, be it padding or not.
        """
        hidden, last = self._hidden(inputs, carry, dropout_keys, None if starts is None else jnp.swapaxes(starts, 0, 1))
        targets = jnp.swapaxes(targets, 0, 1)  # [time, batch], like every large array
        if runs_natively(self.config.dtype):
            weights = self.logits.variables["params"]
            nats = cpu.cross_entropy(hidden, weights["kernel"], weights["bias"], targets)
        else:
            nats = optax.softmax_cross_entropy_with_integer_labels(self.logits(hidden), targets)
        return jnp.swapaxes(nats, 0, 1), last

    def step(self, ids: Int[AnyArray, " batch"], carry: tuple) -> tuple[Float[Array, "batch vocab"], tuple]:
        """Logits of the character after one input, for the decode loop.

        Args:
          ids: int32 ``[batch]``.
          carry: the carry of the step before, or ``initial_step_carry``.

        Returns:
          Logits, float32 ``[batch, vocab]``, and the carry after the character.
        """
        with products(self.config):
            return self._step(ids, carry)

    def _step(self, ids: AnyArray, carry: tuple) -> tuple[Array, tuple]:
        end = None if self.source_end is None else ids == self.source_end
        hidden, embedding = self._table(ids, None if end is None else end | ~carry[-1].reading)
        last = []
        carries = carry[: self.config.layers]
        for number, (layer, before) in enumerate(zip(getattr(self, self.config.cell), carries, strict=True)):
            outputs, after = layer.step(self._normalized(number, hidden), before, None if number else embedding)
            hidden = self._residual(number, hidden, outputs)
            last.append(after)
        if end is not None:
            attention = self.attention_query, self.attention_output, self.coverage_penalty
            hidden, memory = attend_step(hidden, carry[-1], end, *attention)
            last.append(memory)
        return self.logits(hidden), tuple(last)

    def _hidden(
        self,
        inputs: AnyArray,
        carry: tuple[Carry, ...] | None,
        dropout_keys: Array | None,
        starts: Starts = None,
    ) -> tuple[Float[Array, "time batch hidden"], tuple[Carry, ...]]:
        """The vectors from which the logits are computed: the last layer's outputs after attention; and the carry."""
        config = self.config
        carry = self.initial_carry(inputs.shape[0]) if carry is None else carry
        hidden = jnp.swapaxes(inputs, 0, 1)  # [time, batch] or [time, batch, vocab]
        ended = None
        if self.source_end is not None:
            hidden = hidden if hidden.ndim == 2 else hidden.argmax(-1)
            ended = jnp.cumsum(hidden == self.source_end, 0) > 0  # [time, batch]
        hidden, embedding = self._table(hidden, ended)
        if embedding is not None and dropout_keys is not None and config.input_dropout:
            hidden = embedding[hidden] if hidden.ndim == 2 else hidden @ embedding  # [time, batch, embedding]
            hidden = dropout(hidden, config.input_dropout, dropout_keys, 2 * config.layers)
            embedding = None
        last = []
        carries = carry[: config.layers]
        for number, (layer, before) in enumerate(zip(getattr(self, config.cell), carries, strict=True)):
            mask = None
            if dropout_keys is not None and config.recurrent_dropout:
                ones = jnp.ones((1, *before[0].shape), jnp.float32)
                mask = dropout(ones, config.recurrent_dropout, dropout_keys, config.layers + number)[0]
            table = None if number else embedding
            outputs, after = layer(self._normalized(number, hidden), before, mask, table, starts)
            if dropout_keys is not None and config.dropout:
                outputs = dropout(outputs, config.dropout, dropout_keys, number)
            hidden = self._residual(number, hidden, outputs)
            last.append(after)
        if ended is not None:
            hidden = attend(hidden, ended, self.attention_query, self.attention_output, self.coverage_penalty)
        if config.head == "classifier":
            # The running mean over time. Padding follows the text, so no mean in the loss includes it. A text that is
            # read in windows has the sum so far, and its number of terms, at the end of its carry.
            count = jnp.arange(1, len(hidden) + 1)[:, None, None]
            hidden = jnp.cumsum(hidden, 0)
            if len(carry) > config.layers:
                total, terms = carry[-1]
                hidden, count = total + hidden, terms + count
                last.append((hidden[-1], count[-1]))
            hidden = hidden / count
        return hidden, tuple(last)

    def _table(self, inputs: AnyArray, ended: Array | None) -> tuple[AnyArray, Array | None]:
        """The first layer's inputs and the embedding ``[rows, embedding]`` of ids; None for a model without one.

        With sources, ``ended`` is True from the end of the source on, in the shape of the ids. The characters of the
        text then look up rows of their own, to which ``text_offset`` is added. Without it the state soon forgets
        whether it is in the source or in the text.
        """
        if not self.config.embedding:
            return inputs, None
        if ended is None:
            return inputs, self.embedding
        return inputs + self.vocab * ended, jnp.concatenate([self.embedding, self.embedding + self.text_offset])

    def _normalized(self, number: int, hidden: AnyArray) -> AnyArray:
        """The inputs of a layer: LayerNorm before every layer but the first."""
        return self.norm[number - 1](hidden) if self.config.layer_norm and number > 0 else hidden

    def _residual(self, number: int, hidden: AnyArray, outputs: Array) -> Array:
        """The residual connection, and after the last layer the final LayerNorm."""
        hidden = hidden + outputs if self.config.residual and number > 0 else outputs
        return self.norm[-1](hidden) if self.config.layer_norm and number == self.config.layers - 1 else hidden


def products(config: ModelConfig) -> contextlib.AbstractContextManager:
    """The precision of the matrix products that are traced in this context."""
    if config.matmul_precision == "default":
        return contextlib.nullcontext()  # what the device, or the user of the library, has chosen
    return jax.default_matmul_precision(config.matmul_precision)


def make_model(vocabulary: Vocabulary, config: ModelConfig) -> CharLM:
    """The model for a vocabulary."""
    return CharLM(vocabulary.size, config, None if vocabulary.classifies else vocabulary.source_end)


def init_params(model: CharLM, key: Key[Array, ""]) -> Params:
    """Fresh parameters of a model, a plain pytree of float32 arrays.

    Example::

        params = init_params(CharLM(vocab=84), jax.random.key(0))
        params["lstm_0"]["kernel"].shape  # (84, 512)
    """
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]


@functools.lru_cache
def param_shapes(model: CharLM) -> Params:
    """The shapes and dtypes of a model's parameters, computed without making them: ``jax.ShapeDtypeStruct`` leaves.

    Example::

        param_shapes(CharLM(vocab=84))["lstm_0"]["kernel"].shape  # (84, 512)
    """
    return jax.eval_shape(lambda: init_params(model, jax.random.key(0)))


def count_params(params: Params) -> int:
    """Number of parameters in a pytree.

    Example::

        count_params(init_params(CharLM(vocab=84), jax.random.key(0)))  # 119,892
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def starting_carry(batch: Batch, carry: tuple) -> tuple:
    """The carry that a batch starts from: zeros if the batch is ``fresh``, else the carry of the batch before."""
    return jax.tree.map(lambda state: jnp.where(batch.fresh, 0.0, state), carry)
