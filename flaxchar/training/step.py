"""The training step: one step of gradient descent on a batch.

A step runs three programs: ``row_keys`` makes a random key for each row of the batch, ``batch_gradients`` computes the
gradients, and ``apply_gradients`` updates the state. Only ``batch_gradients`` depends on the batch width, so it is
compiled once for each width and the others once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import PartitionSpec
from jax.stages import Lowered

from flaxchar.data.batches import AnyArray, Batch
from flaxchar.hardware import this_hardware
from flaxchar.kernels.random import is_threefry, new_key
from flaxchar.models.charlm import CharLM, Params, products, starting_carry
from flaxchar.training.devices import Layout, single_device
from flaxchar.training.divergence import MOST_NATS
from flaxchar.training.state import TrainState


class StepSums(NamedTuple):
    """Sums over the batch of one step, with the parameters before the update.

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
        """Whether the update was taken. It is skipped if loss or gradient has exploded. Waits for the step."""
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
    """Compute the summed loss of rows of a batch, and its gradient.

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

    with products(model.config):  # those of the backward pass too
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
    # The units are sharded too: XLA divides the work among the devices by the sharding annotations.
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

    If loss or gradient has exploded, the update is skipped: only the step counters change.

    Args:
      optimizer: from ``make_optimizer``; static.
      state: the state before the step. Its buffers are donated to the result.
      sums: from ``batch_gradients``.
      learning_rate: float32 scalar.
      layout: the devices; None for one; static.
      ema: decay of the parameters' moving average; None if the state keeps none; static. In the first steps the decay
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
    # A condition, not `jnp.where`: the update is compiled as if it stood alone, so no bit of its results changes.
    new = jax.lax.cond(_healthy(sums.nats, sums.tokens, norm), update, skip, state)
    if layout is not None and not layout.single:
        new = jax.lax.with_sharding_constraint(new, layout.shardings(new))
    return new, StepSums(sums.nats, sums.tokens, norm)


def _healthy(nats: AnyArray, tokens: AnyArray, gradient_norm: AnyArray) -> AnyArray:
    """Whether neither loss nor gradient has exploded. Comparisons with NaN are false."""
    return (nats <= MOST_NATS * tokens) & (gradient_norm < np.inf)


class TrainStep:
    """One step of gradient descent on the mean cross-entropy over a batch's mask.

    The first batch of each width compiles the step for that width. ``compile`` does so ahead, for several widths.

    Attributes:
      layout: the devices.

    Example::

        step = TrainStep(model, optimizer, jax.random.key(1))
        state = init_state(model, optimizer, batches.rows, jax.random.key(0))
        for k in range(100):
            state, sums = step(state, batches.batch(k), learning_rate=0.01)
        print(sums.nats / sums.tokens)  # nats per token of the last batch
    """

    def __init__(
        self,
        model: CharLM,
        optimizer: optax.GradientTransformation,
        key: Array,
        layout: Layout | None = None,
        ema: float | None = None,
    ) -> None:
        """Prepare a step; nothing is compiled yet.

        Args:
          model: the model.
          optimizer: from ``make_optimizer``.
          key: the run's random key, from which the keys of each step and row are derived.
          layout: the devices; None for one.
          ema: decay of the parameters' moving average; None if the state keeps none.
        """
        self.layout = single_device() if layout is None else layout
        self._model, self._optimizer, self._ema = model, optimizer, ema
        self._key = self.layout.place_key(_faster_key(key))
        self._gradients: dict[tuple[int, int], Callable] = {}  # by rows and width
        self._updates: dict[int, Callable] = {}  # by rows

    def compile(self, state: TrainState, rows: int, widths: Sequence[int], packed: bool = False) -> None:
        """Compile the step for batches of several widths, several programs at a time: XLA releases the GIL.

        Args:
          state: a state of the run; it is not changed.
          rows: rows of the whole batch, including those of other processes.
          widths: batch widths, in time steps.
          packed: whether the batches say where texts start (``Batch.starts``).
        """
        new = [width for width in widths if (rows, width) not in self._gradients]
        if not new:
            return
        with ThreadPoolExecutor(this_hardware().compiled_at_once) as pool:
            keys = row_keys(self._key, state.step, rows, self.layout)
            first = self._lower_gradients(state, keys, new[0], packed)
            # The update goes first, because it takes longer to compile than the gradients of one width.
            update = None if rows in self._updates else pool.submit(self._compile_update, state, first.out_info)
            lowered = (first if width == new[0] else None for width in new)

            def compiled(width: int, lowered: Lowered | None) -> Callable:
                return (lowered or self._lower_gradients(state, keys, width, packed)).compile()

            programs = pool.map(compiled, new, lowered)
            self._gradients |= {(rows, width): program for width, program in zip(new, programs, strict=True)}
            if update is not None:
                self._updates[rows] = update.result()

    def __call__(
        self, state: TrainState, batch: Batch, learning_rate: float | np.floating
    ) -> tuple[TrainState, StepSums]:
        """Take a step.

        Args:
          state: the state before the step, sharded by the layout. Its buffers are donated: do not use it afterwards.
          batch: this process's rows of the batch, ``[rows, time]``: int32 ids and a bool mask.
          learning_rate: the learning rate of this step.

        Returns:
          The state after the step, and the sums over its batch. The device may still be computing both.
        """
        own, width = batch.inputs.shape
        rows = own * jax.process_count()
        if (rows, width) not in self._gradients:
            self.compile(state, rows, [width], batch.starts is not None)
        placed = self.layout.place_batch(batch, rows)
        keys = row_keys(self._key, state.step, rows, self.layout)
        sums = self._gradients[rows, width](state.params, state.carry, placed, keys)
        return self._updates[rows](state, sums, np.asarray(learning_rate, np.float32))

    def _lower_gradients(self, state: TrainState, keys: Array, width: int, packed: bool) -> Lowered:
        """Trace and lower the gradients of a batch ``[rows, width]``; ``keys`` are the keys of its rows."""
        rows = len(keys)
        ids, bools = ((rows, width), jnp.int32), ((rows, width), jnp.bool_)
        shapes = Batch(ids, ids, bools, ((), jnp.bool_), bools if packed else None)
        shardings = [None] * 5 if self.layout.single else self.layout.batch_shardings(packed)
        batch = Batch(*(s and jax.ShapeDtypeStruct(*s, sharding=how) for s, how in zip(shapes, shardings, strict=True)))
        with jax.set_mesh(self.layout.mesh):
            return batch_gradients.lower(self._model, state.params, state.carry, batch, keys, self.layout)

    def _compile_update(self, state: TrainState, sums: BatchSums) -> Callable:
        """Compile the update for ``sums`` of these shapes."""
        placed = jax.tree.map(
            lambda leaf, how: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=how),
            sums,
            self.layout.shardings(sums),
        )
        with jax.set_mesh(self.layout.mesh):
            return apply_gradients.lower(
                self._optimizer, state, placed, np.float32(0), self.layout, self._ema
            ).compile()


def _faster_key(key: Array) -> Array:
    """The same key for flaxchar's implementation of Threefry: the same random numbers, faster."""
    if not is_threefry(key):
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=jax.random.key_impl(new_key(0)))
