"""Training: the state, one compiled step, and the loop that takes them through the batches.

The step is a pure function of (state, batch, learning rate, key). The loop knows nothing of files or terminals: whoever
calls it hands in ``Hooks``.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import PartitionSpec
from jax.stages import Lowered

from flaxchar.data.batches import Batch, TextBatches, WindowBatches
from flaxchar.models.charlm import CharLM, Params, init_params, starting_carry
from flaxchar.training.devices import Layout, agree

# A run is evaluated at the ends of epochs, but no more often than this; one of fewer epochs than FEWEST also between.
MOST_EVALUATIONS = 10
FEWEST_EVALUATIONS = 4
# The held-out texts are read no more often than makes this share of what is learned from: a tenth of the time or so.
EVALUATED_SHARE = 0.3


class TrainState(NamedTuple):
    """All that a run carries from one step to the next, a plain pytree.

    Attributes:
      step: steps taken, int32 scalar.
      params: the model's parameters.
      opt_state: Optax' state.
      carry: the recurrent state after the last batch, which running text goes on with.
      average: the parameters averaged over the steps, or None where nobody asked for that.
    """

    step: Array
    params: Params
    opt_state: Any
    carry: tuple
    average: Params | None = None

    @property
    def best_params(self) -> Params:
        """The parameters to evaluate, to keep and to write with."""
        return self.params if self.average is None else self.average


class StepSums(NamedTuple):
    """What one step saw: nats summed over its targets, how many targets, and the gradient's norm before clipping."""

    nats: Array
    tokens: Array
    gradient_norm: Array


@functools.partial(jax.jit, static_argnames=["model", "optimizer", "rows", "running", "averaged"])
def init_state(
    model: CharLM,
    optimizer: optax.GradientTransformation,
    rows: int,
    key: Array,
    running: bool = False,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step, for batches of ``rows`` rows, of running text or of separate texts.

    ``averaged``: keep the average of the parameters, too.
    """
    params = init_params(model, key)
    carry = model.initial_carry(rows) if running else ()
    average = copy_tree(params) if averaged else None
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), carry, average)


def loss_gradients(
    model: CharLM, params: Params, batch: Batch, carry: tuple, keys: Array
) -> tuple[Params, Array, Array, tuple]:
    """What rows of a batch, some or all, add to the loss and its gradient.

    Args:
      model: the model.
      params: its parameters.
      batch: arrays ``[rows, time]``.
      carry: the state before, of running text; else ``()``.
      keys: a random key for each row, ``[rows]``.

    Returns:
      The gradient of the nats summed over the mask, these nats, their number, and the carry after.
    """
    before = starting_carry(batch, carry)

    def nats_of(params: Params) -> tuple[Array, tuple]:
        arguments = batch.inputs, batch.targets, before or None, keys
        nats, after = model.apply({"params": params}, *arguments, method="cross_entropy")
        return jnp.where(batch.mask, nats, 0.0).sum(), jax.lax.stop_gradient(after if before else ())

    (nats, after), gradients = jax.value_and_grad(nats_of, has_aux=True)(params)
    return gradients, nats, batch.mask.sum(), after


class BatchSums(NamedTuple):
    """What a batch adds up to: the gradient of its nats, these nats, how many targets they are of, the carry after."""

    gradients: Params
    nats: Array
    tokens: Array
    carry: tuple


@functools.partial(jax.jit, static_argnames=["model", "layout"])
def batch_gradients(
    model: CharLM,
    params: Params,
    carry: tuple,
    step: Array,
    batch: Batch,
    key: Array,
    layout: Layout | None = None,
) -> BatchSums:
    """The first half of a step, which reads the batch.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the state before, of running text; else ``()``.
      step: the number of the step, int32 scalar.
      batch: arrays ``[batch, time]``.
      key: the run's random key; each step folds its number into it, and each row its own.
      layout: on which devices, None for one; static. What is given lies as it says.
    """

    def own_rows(params: Params, batch: Batch, carry: tuple, first_row: Array | int) -> tuple:
        rows = first_row + jnp.arange(batch.inputs.shape[0])
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, step), rows)
        return loss_gradients(model, params, batch, carry, keys)

    def on_each_device(params: Params, batch: Batch, carry: tuple) -> tuple:
        first_row = jax.lax.axis_index("data") * batch.inputs.shape[0]
        *sums, after = own_rows(params, batch, carry, first_row)
        return *jax.lax.psum(tuple(sums), "data"), after

    if layout is None or layout.alone:
        return BatchSums(*own_rows(params, batch, carry, 0))
    if layout.model == 1:
        rows = PartitionSpec("data")
        batch_specs = Batch(rows, rows, rows, PartitionSpec())
        everywhere = PartitionSpec()
        sums_of = jax.shard_map(
            on_each_device,
            mesh=layout.mesh,
            in_specs=(everywhere, batch_specs, rows),
            out_specs=(everywhere, everywhere, everywhere, rows),
            check_vma=False,
        )
        return BatchSums(*sums_of(params, batch, carry))
    # Several devices share the units: the compiler divides the work among them by the annotations.
    sums = BatchSums(*own_rows(params, batch, carry, 0))
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
    """The second half of a step, which is the same whatever the batch's width; arguments as ``train_step``'s."""
    gradients = jax.tree.map(lambda gradient: gradient / jnp.maximum(sums.tokens, 1), sums.gradients)
    opt_state = state.opt_state._replace(hyperparams={"learning_rate": learning_rate})
    updates, opt_state = optimizer.update(gradients, opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    average = state.average
    if ema is not None:
        stays = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
        average = jax.tree.map(lambda old, new: stays * old + (1 - stays) * new, average, params)
    new = TrainState(state.step + 1, params, opt_state, sums.carry, average)
    if layout is not None and not layout.alone:
        new = jax.lax.with_sharding_constraint(new, layout.shardings(new))
    return new, StepSums(sums.nats, sums.tokens, optax.tree.norm(gradients))


@functools.partial(jax.jit, static_argnames=("model", "optimizer", "layout", "ema"), donate_argnames="state")
def train_step(
    model: CharLM,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    learning_rate: Array,
    key: Array,
    layout: Layout | None = None,
    ema: float | None = None,
) -> tuple[TrainState, StepSums]:
    """One step of gradient descent on the mean cross-entropy over the batch's mask.

    Args:
      model: the model; static.
      optimizer: from ``make_optimizer``; static.
      state: the state before; its buffers are reused, so it is gone afterwards.
      batch: arrays ``[batch, time]``.
      learning_rate: float32 scalar.
      key: the run's random key; each step folds its number into it, and each row its own.
      layout: on which devices, None for one; static. The state and the batch lie as it says.
      ema: how much of the average stays at each step, where the state keeps one; less in the first steps, so that the
        average does not remember where the parameters began; static.

    Returns:
      The state after, and what the step saw (before its update).
    """
    sums = batch_gradients(model, state.params, state.carry, state.step, batch, key, layout)
    return apply_gradients(optimizer, state, sums, learning_rate, layout, ema)


class CompiledStep:
    """``train_step`` for one run, compiled beforehand: its first half once a batch shape, its second half once.

    The second takes the compiler longer than the first, and does not depend on the shape.
    """

    def __init__(
        self,
        model: CharLM,
        optimizer: optax.GradientTransformation,
        layout: Layout,
        state: TrainState,
        batches: TextBatches | WindowBatches,
        key: Array,
        ema: float | None = None,
    ) -> None:
        """Compile for every width of ``batches``, two at a time: the compiler leaves Python's lock alone."""
        self._layout, self._rows = layout, batches.rows
        self.own = layout.own_rows(batches.rows)  # the rows of each batch that are this process' to make
        self._key = layout.place_key(key)

        def lower(width: int) -> Lowered:
            shapes = [((batches.rows, width), jnp.int32)] * 2 + [((batches.rows, width), jnp.bool_), ((), jnp.bool_)]
            lies = [None] * 4 if layout.alone else layout.batch_shardings()
            batch = Batch(*(jax.ShapeDtypeStruct(*s, sharding=how) for s, how in zip(shapes, lies, strict=True)))
            with jax.set_mesh(layout.mesh):
                return batch_gradients.lower(model, state.params, state.carry, state.step, batch, self._key, layout)

        def compile_update(sums: BatchSums) -> Callable:
            placed = jax.tree.map(
                lambda leaf, how: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=how),
                sums,
                layout.shardings(sums),
            )
            with jax.set_mesh(layout.mesh):
                return apply_gradients.lower(optimizer, state, placed, np.float32(0), layout, ema).compile()

        with ThreadPoolExecutor(2) as pool:
            pool.submit(batches.batch, int(state.step))  # of a large corpus the first takes a second: its order
            update = pool.submit(compile_update, lower(batches.widths[0]).out_info)
            compiled = pool.map(lambda width: lower(width).compile(), batches.widths)
            self._gradients = dict(zip(batches.widths, compiled, strict=True))
            self._update = update.result()

    def __call__(self, state: TrainState, batch: Batch, learning_rate: np.float32) -> tuple[TrainState, StepSums]:
        """As ``train_step``, from this process' own rows of the batch."""
        placed = self._layout.place_batch(batch, self._rows)
        gradients = self._gradients[batch.inputs.shape[1]]
        sums = gradients(state.params, state.carry, state.step, placed, self._key)
        return self._update(state, sums, learning_rate)


def time_steps(
    step: CompiledStep,
    state: TrainState,
    batches: TextBatches | WindowBatches,
    seconds: float,
) -> float:
    """Seconds a step takes on average, measured for about ``seconds`` on a copy of the state.

    The run itself begins afterwards from the untouched state, so that it does not depend on what was measured but for
    the number of its steps.
    """
    state = copy_tree(state)
    state, sums = step(state, batches.batch(0, step.own), np.float32(0))  # the first is not counted
    sums.nats.block_until_ready()
    cells, start, count = 0, time.perf_counter(), 0
    for until in (3 * 2**k for k in itertools.count()):
        while count < until:
            batch = batches.batch(count, step.own)
            state, sums = step(state, batch, np.float32(0))
            # One step may be under way while the next batch is made, as in the run.
            cells, count = cells + batch.inputs.shape[1], count + 1
            if count % 2 == 0:
                sums.nats.block_until_ready()
        sums.nats.block_until_ready()
        elapsed = time.perf_counter() - start
        if agree(elapsed > seconds / 2):
            return elapsed / cells * batches.mean_width()
    raise AssertionError("there is no last number")


def evaluation_steps(total_steps: int, steps_per_epoch: int, most: int = MOST_EVALUATIONS) -> frozenset[int]:
    """After which steps a run is evaluated: ends of epochs, evenly thinned to ``most``, and always the last step."""
    epochs, few = total_steps // steps_per_epoch, min(FEWEST_EVALUATIONS, most)
    count = min(epochs, most)
    points = {-(-epochs * k // count) * steps_per_epoch for k in range(1, count + 1)}
    if epochs < few:
        points |= {total_steps * k // few for k in range(1, few)}
    return frozenset(points - {0} | {total_steps})


def log_interval(total_steps: int) -> int:
    """A run's loss is recorded each time this many steps are done."""
    return max(1, min(total_steps // 200, 1000))


def copy_tree(tree: Any) -> Any:
    """The same arrays in memory of their own, so that a step may reuse the originals'."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)


@dataclasses.dataclass
class Progress:
    """What a stretch of steps saw, in sums.

    Attributes:
      step: steps taken since the run began.
      nats: cross-entropy summed over the targets.
      tokens: targets.
      gradient_norm: the last step's gradient norm before clipping.
      learning_rate: the last step's.
      seconds: how long the stretch took, evaluation left out.
    """

    step: int = 0
    nats: float = 0.0
    tokens: int = 0
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    seconds: float = 0.0


class Hooks(Protocol):
    """What the loop calls while it runs."""

    def progressed(self, progress: Progress) -> None:
        """A stretch of steps is done; called some times a second, and whenever ``log_interval`` steps are."""

    def evaluate(self, state: TrainState, step: int) -> None:
        """It is time to evaluate, and to save."""

    def should_stop(self, state: TrainState, step: int) -> bool:
        """Whether to stop after this step; also the place to save in between."""


def fit(
    step: CompiledStep,
    state: TrainState,
    batches: TextBatches | WindowBatches,
    rates: np.ndarray,
    evaluate_after: frozenset[int],
    hooks: Hooks,
) -> TrainState:
    """Train from the state's step to the last one, or until the hooks say stop.

    Args:
      step: the compiled step.
      state: where to begin.
      batches: batch ``k`` is for step ``k``.
      rates: the learning rate of every step; their number is the number of steps.
      evaluate_after: after which steps to evaluate.
      hooks: what to call on the way.

    Returns:
      The state after the last step taken.
    """
    total, taken = len(rates), int(state.step)
    log_every = log_interval(total)
    progress, since = Progress(), time.perf_counter()
    # The step is dispatched, not awaited: the next batch is made while the device works. Two steps may be under way, so
    # that the host neither waits for each nor runs far ahead.
    under_way: deque[StepSums] = deque()

    def account(limit: int) -> None:
        while len(under_way) > limit:
            sums = under_way.popleft()
            progress.nats += float(sums.nats)
            progress.tokens += int(sums.tokens)
            progress.gradient_norm = float(sums.gradient_norm)

    while taken < total:
        state, sums = step(state, batches.batch(taken, step.own), rates[taken])
        under_way.append(sums)
        account(2)
        taken += 1
        now = time.perf_counter()
        evaluating = taken in evaluate_after
        logging = evaluating or taken % log_every == 0
        if logging or (progress.tokens and now - since > 0.25):
            account(0 if logging else 2)
            now = time.perf_counter()
            progress.step, progress.learning_rate, progress.seconds = taken, float(rates[taken - 1]), now - since
            hooks.progressed(progress)
            if evaluating:
                hooks.evaluate(state, taken)
            progress, since = Progress(), time.perf_counter()
        if hooks.should_stop(state, taken):
            break
    return state
