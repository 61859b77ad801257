"""Training: the state, one compiled step, and the loop that takes them through the batches.

The step is a pure function of (state, batch, learning rate, key). The loop knows nothing of files or terminals: whoever
calls it hands in ``Hooks``.
"""

from __future__ import annotations

import dataclasses
import functools
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

from flaxchar.batches import Batch, TextBatches, WindowBatches
from flaxchar.config import TrainingConfig
from flaxchar.losses import carry_into
from flaxchar.model import CharLM, Params, init_params

# A run is evaluated at the ends of epochs, but no more often than this; one of fewer epochs than FEWEST also between.
MOST_EVALUATIONS = 10
FEWEST_EVALUATIONS = 4


class TrainState(NamedTuple):
    """All that a run carries from one step to the next, a plain pytree.

    Attributes:
      step: steps taken, int32 scalar.
      params: the model's parameters.
      opt_state: Optax' state.
      carry: the recurrent state after the last batch, which running text goes on with.
    """

    step: Array
    params: Params
    opt_state: Any
    carry: tuple


class StepSums(NamedTuple):
    """What one step saw: nats summed over its targets, how many targets, and the gradient's norm before clipping."""

    nats: Array
    tokens: Array
    gradient_norm: Array


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """The optimiser of a configuration, its learning rate left open: ``train_step`` sets it at every step."""

    def make(learning_rate: float) -> optax.GradientTransformation:
        optimizer = {
            "adam": optax.adam,
            "adamw": optax.adamw,
            # As Keras: epsilon is added to the root, not under it, which matters much at this size of gradient.
            "rmsprop": functools.partial(optax.rmsprop, decay=0.9, eps=1e-7, eps_in_sqrt=False),
            "sgd": optax.sgd,
        }[config.optimizer](learning_rate)
        clip = optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)
        return optax.chain(clip, optimizer)

    return optax.inject_hyperparams(make)(learning_rate=config.learning_rate)


def learning_rates(config: TrainingConfig, total_steps: int) -> np.ndarray:
    """The learning rate of every step of a run, float32 ``[total_steps]``."""
    warmup = min(config.warmup_steps, total_steps // 2)
    rising = optax.linear_schedule(config.learning_rate / max(1, warmup), config.learning_rate, max(1, warmup - 1))
    after = {
        "constant": optax.constant_schedule(config.learning_rate),
        "cosine": optax.cosine_decay_schedule(config.learning_rate, max(1, total_steps - warmup)),
    }[config.schedule]
    schedule = optax.join_schedules([rising, after], [warmup])
    return np.broadcast_to(np.asarray(schedule(jnp.arange(total_steps)), np.float32), (total_steps,))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def init_state(model: CharLM, optimizer: optax.GradientTransformation, rows: int, key: Array) -> TrainState:
    """The state before the first step, for batches of ``rows`` rows."""
    params = init_params(model, key)
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), model.initial_carry(rows))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_step(
    model: CharLM,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    learning_rate: Array,
    key: Array,
) -> tuple[TrainState, StepSums]:
    """One step of gradient descent on the mean cross-entropy over the batch's mask.

    Args:
      model: the model; static.
      optimizer: from ``make_optimizer``; static.
      state: the state before; its buffers are reused, so it is gone afterwards.
      batch: arrays ``[batch, time]``.
      learning_rate: float32 scalar.
      key: the run's random key; each step folds its number into it.

    Returns:
      The state after, and what the step saw (before its update).
    """
    carry = carry_into(batch, state.carry)

    def loss(params: Params) -> tuple[Array, tuple[Array, Array, tuple]]:
        rngs = {"dropout": jax.random.fold_in(key, state.step)}
        each, after = model.apply(
            {"params": params}, batch.inputs, batch.targets, carry, train=True, rngs=rngs, method="cross_entropy"
        )
        nats, tokens = jnp.where(batch.mask, each, 0.0).sum(), batch.mask.sum()
        return nats / jnp.maximum(tokens, 1), (nats, tokens, after)

    (_, (nats, tokens, after)), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
    opt_state = state.opt_state._replace(hyperparams={"learning_rate": learning_rate})
    updates, opt_state = optimizer.update(gradients, opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = TrainState(state.step + 1, params, opt_state, jax.lax.stop_gradient(after))
    return new, StepSums(nats, tokens, optax.tree.norm(gradients))


class CompiledStep:
    """``train_step`` for one run, compiled beforehand for each of the run's few batch shapes."""

    def __init__(
        self,
        model: CharLM,
        optimizer: optax.GradientTransformation,
        state: TrainState,
        batches: TextBatches | WindowBatches,
        key: Array,
    ) -> None:
        """Compile for every width of ``batches``, two at a time: the compiler leaves Python's lock alone."""
        self._key = key
        rate = np.float32(0)

        def compile_width(width: int) -> Callable:
            ids = jax.ShapeDtypeStruct((batches.rows, width), jnp.int32)
            mask = jax.ShapeDtypeStruct((batches.rows, width), jnp.bool_)
            batch = Batch(ids, ids, mask, jax.ShapeDtypeStruct((), jnp.bool_))
            return train_step.lower(model, optimizer, state, batch, rate, key).compile()

        with ThreadPoolExecutor(2) as pool:
            self._by_width = dict(zip(batches.widths, pool.map(compile_width, batches.widths), strict=True))

    def __call__(self, state: TrainState, batch: Batch, learning_rate: np.float32) -> tuple[TrainState, StepSums]:
        """As ``train_step``."""
        return self._by_width[batch.inputs.shape[1]](state, batch, learning_rate, self._key)


def time_steps(step: CompiledStep, state: TrainState, batches: TextBatches | WindowBatches, seconds: float) -> float:
    """Seconds a step takes on average, measured for about ``seconds`` on a copy of the state.

    The run itself begins afterwards from the untouched state, so that it does not depend on what was measured but for
    the number of its steps.
    """
    state = copy_tree(state)
    cells, k, start = 0, -1, 0.0
    while k < 3 or time.perf_counter() - start < seconds:
        batch = batches.batch(max(0, k))
        state, sums = step(state, batch, np.float32(0))
        # The first step is not counted. One step may be under way while the next batch is made, as in the run.
        k += 1
        if k == 0:
            sums.nats.block_until_ready()
            start = time.perf_counter()
        else:
            cells += batch.inputs.shape[1]
            if k % 2 == 0:
                sums.nats.block_until_ready()
    sums.nats.block_until_ready()
    return (time.perf_counter() - start) / cells * batches.mean_width()


def evaluation_steps(total_steps: int, steps_per_epoch: int) -> frozenset[int]:
    """After which steps a run is evaluated: ends of epochs, evenly thinned, and always the last step."""
    epochs = total_steps // steps_per_epoch
    count = min(epochs, MOST_EVALUATIONS)
    points = {-(-epochs * k // count) * steps_per_epoch for k in range(1, count + 1)}
    if epochs < FEWEST_EVALUATIONS:
        points |= {total_steps * k // FEWEST_EVALUATIONS for k in range(1, FEWEST_EVALUATIONS)}
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
    hooks: Hooks,
) -> TrainState:
    """Train from the state's step to the last one, or until the hooks say stop.

    Args:
      step: the compiled step.
      state: where to begin.
      batches: batch ``k`` is for step ``k``.
      rates: the learning rate of every step; their number is the number of steps.
      hooks: what to call on the way.

    Returns:
      The state after the last step taken.
    """
    total, taken = len(rates), int(state.step)
    evaluate_after = evaluation_steps(total, batches.steps_per_epoch)
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
        state, sums = step(state, batches.batch(taken), rates[taken])
        under_way.append(sums)
        account(2)
        taken += 1
        now = time.perf_counter()
        evaluating = taken in evaluate_after
        logging = evaluating or taken % log_every == 0
        if logging or now - since > 0.25:
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
