"""The three programs of a training step: random keys, gradients, and the update of the state.

``row_keys`` makes a random key for each row of the batch, ``batch_gradients`` computes the gradients, and
``apply_gradients`` updates the state. Only ``batch_gradients`` depends on the batch width.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import PartitionSpec

from flaxchar.data.batches import AnyArray, Batch
from flaxchar.models.charlm import CharLM, Params, products, starting_carry
from flaxchar.training.devices import Layout
from flaxchar.training.divergence import MOST_NATS
from flaxchar.training.state import TrainState


class StepSums(NamedTuple):
    """Sums over the batch of one step, computed with the parameters before the update.

    Attributes:
      nats: cross-entropy summed over the targets, float32 scalar.
      tokens: number of targets, int32 scalar.
      gradient_norm: norm of the mean gradient before clipping, float32 scalar.
    """

    nats: Array
    tokens: Array
    gradient_norm: Array

    @property
    def taken(self) -> bool:
        """Whether the update was applied: it is skipped if the loss or the gradient exploded. Waits for the step."""
        return bool(_healthy(np.asarray(self.nats), np.asarray(self.tokens), np.asarray(self.gradient_norm)))


class BatchSums(NamedTuple):
    """Sums over the targets of a batch, and the carry after it.

    Attributes:
      gradients: gradient of ``nats``, a pytree like the parameters.
      nats: cross-entropy summed over the targets, float32 scalar.
      tokens: number of targets, int32 scalar.
      carry: the carry after the batch for running text; ``()`` for separate texts.
    """

    gradients: Params
    nats: Array
    tokens: Array
    carry: tuple


def loss_gradients(
    model: CharLM, params: Params, batch: Batch, carry: tuple, keys: Array
) -> tuple[Params, Array, Array, tuple]:
    """Compute the summed loss of some rows of a batch, and its gradient.

    Args:
      model: the model.
      params: its parameters.
      batch: arrays ``[rows, time]``.
      carry: the carry before the batch for running text; ``()`` for separate texts.
      keys: a random key for each row, ``[rows]``.

    Returns:
      The gradient, the nats summed over the mask, the number of targets in the mask, and the carry after the batch.
    """
    before = starting_carry(batch, carry)

    def nats_of(params: Params) -> tuple[Array, tuple]:
        arguments = batch.inputs, batch.targets, before or None, keys
        nats, after = model.apply({"params": params}, *arguments, batch.starts, method="cross_entropy")
        return jnp.where(batch.mask, nats, 0.0).sum(), jax.lax.stop_gradient(after if before else ())

    with products(model.config):  # for the matrix products of both passes
        (nats, after), gradients = jax.value_and_grad(nats_of, has_aux=True)(params)
    return gradients, nats, batch.mask.sum(), after


@functools.partial(jax.jit, static_argnames=["rows", "layout"])
def row_keys(key: Array, step: Array, rows: int, layout: Layout | None = None) -> Array:
    """Make the random keys of a step, one for each row of the batch.

    Args:
      key: the run's random key.
      step: number of the step, int32 scalar.
      rows: rows of the whole batch; static.
      layout: the devices; None for one; static.

    Returns:
      Keys ``[rows]``: the run's key with the step's number folded in, then the row's number.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, step), jnp.arange(rows))
    if layout is None or layout.single:
        return keys
    return jax.lax.with_sharding_constraint(keys, layout.sharding("data"))


@functools.partial(jax.jit, static_argnames=["model", "layout"])
def batch_gradients(
    model: CharLM, params: Params, carry: tuple, batch: Batch, keys: Array, layout: Layout | None = None
) -> BatchSums:
    """Compute the gradients of a whole batch, on all devices.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the carry before the batch for running text; ``()`` for separate texts.
      batch: arrays ``[batch, time]``.
      keys: from ``row_keys``, ``[batch]``.
      layout: the devices, over which the arguments are sharded; None for one; static.
    """

    def on_each_device(params: Params, batch: Batch, carry: tuple, keys: Array) -> tuple:
        *sums, after = loss_gradients(model, params, batch, carry, keys)
        return *jax.lax.psum(tuple(sums), "data"), after

    if layout is None or layout.single:
        return BatchSums(*loss_gradients(model, params, batch, carry, keys))
    if layout.model_shards == 1:
        rows = PartitionSpec("data")
        batch_specs = Batch(rows, rows, rows, PartitionSpec(), None if batch.starts is None else rows)
        everywhere = PartitionSpec()
        sums_of = jax.shard_map(
            on_each_device,
            mesh=layout.mesh,
            in_specs=(everywhere, batch_specs, rows, rows),
            out_specs=(everywhere, everywhere, everywhere, rows),
            check_vma=False,
        )
        return BatchSums(*sums_of(params, batch, carry, keys))
    # The units are sharded too: XLA divides the work among the devices according to the shardings of the arrays.
    sums = BatchSums(*loss_gradients(model, params, batch, carry, keys))
    return jax.lax.with_sharding_constraint(sums, layout.shardings(sums))


@functools.partial(jax.jit, static_argnames=["optimizer", "layout", "ema"], donate_argnames=["state"])
def apply_gradients(
    optimizer: optax.GradientTransformation,
    state: TrainState,
    sums: BatchSums,
    learning_rate: Array,
    layout: Layout | None = None,
    ema: float | None = None,
) -> tuple[TrainState, StepSums]:
    """Update the state with the gradients of a batch. One program serves every batch width.

    If the loss or the gradient has exploded, the update is skipped: only the counters of steps change.

    Args:
      optimizer: from ``make_optimizer``; static.
      state: the state before the step. Its buffers are donated to the result.
      sums: from ``batch_gradients``.
      learning_rate: float32 scalar.
      layout: the devices; None for one; static.
      ema: decay of the parameters' moving average; None if the state has none; static. In the first steps the decay
        is smaller, so that the average forgets the initial parameters.

    Returns:
      The state after the step, and the sums over its batch.
    """

    def mean(gradients: Params) -> Params:
        return jax.tree.map(lambda gradient: gradient / jnp.maximum(sums.tokens, 1), gradients)

    def update(state: TrainState) -> TrainState:
        opt_state = state.opt_state._replace(hyperparams={"learning_rate": learning_rate})
        updates, opt_state = optimizer.update(mean(sums.gradients), opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if ema is not None:
            decay = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
            average = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, params)
        return TrainState(state.step + 1, params, opt_state, sums.carry, average, jnp.int32(0), state.setbacks)

    def skip(state: TrainState) -> TrainState:
        return state._replace(step=state.step + 1, skipped=state.skipped + 1)

    norm = optax.tree.norm(mean(sums.gradients))
    # `cond`, not `jnp.where`, so that the update is compiled as if it were alone, and no bit of its results changes.
    new = jax.lax.cond(_healthy(sums.nats, sums.tokens, norm), update, skip, state)
    if layout is not None and not layout.single:
        new = jax.lax.with_sharding_constraint(new, layout.shardings(new))
    return new, StepSums(sums.nats, sums.tokens, norm)


def _healthy(nats: AnyArray, tokens: AnyArray, gradient_norm: AnyArray) -> AnyArray:
    """Whether neither the loss nor the gradient has exploded. Comparisons with NaN are false."""
    return (nats <= MOST_NATS * tokens) & (gradient_norm < np.inf)
