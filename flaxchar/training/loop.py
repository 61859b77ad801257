"""The training loop: one step for each batch; callbacks report, evaluate, save and stop."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import jax
import numpy as np

from flaxchar.data.batches import Batch, TextBatches, WindowBatches
from flaxchar.data.packed import PackedBatches
from flaxchar.hardware import this_hardware
from flaxchar.training.divergence import MOST_SKIPPED, rate_share
from flaxchar.training.gradients import StepSums
from flaxchar.training.state import TrainState
from flaxchar.training.step import TrainStep

# Seconds between two reports of progress. Multiples of `log_interval` and evaluations are reported in any case.
REPORT_EVERY = 0.25


@dataclasses.dataclass
class Progress:
    """Sums over a stretch of steps.

    Attributes:
      step: steps taken since the run began.
      nats: cross-entropy summed over the targets.
      tokens: number of targets.
      steps: number of steps in the stretch.
      skipped: how many of them were skipped, because loss or gradient had exploded. They count neither in ``nats``
        nor in ``tokens``.
      gradient_norm: gradient norm of the last step that was not skipped, before clipping; None if there is none.
      learning_rate: learning rate of the last step.
      seconds: duration of the stretch, without evaluation.
    """

    step: int = 0
    nats: float = 0.0
    tokens: int = 0
    steps: int = 0
    skipped: int = 0
    gradient_norm: float | None = None
    learning_rate: float = 0.0
    seconds: float = 0.0


class Callbacks(Protocol):
    """What the loop calls while it runs."""

    def progressed(self, progress: Progress) -> None:
        """Report a stretch of steps: a few times a second, every ``log_interval`` steps, and before an evaluation."""

    def evaluate(self, state: TrainState, step: int) -> None:
        """Evaluate and save."""

    def set_back(self, state: TrainState, step: int) -> TrainState:
        """Return the state to go on from after too many skipped steps in a row."""

    def should_stop(self, step: int) -> bool:
        """Whether to stop after this step."""

    def should_save(self, step: int) -> bool:
        """Whether to save after this step."""

    def save(self, state: TrainState, step: int) -> None:
        """Save a checkpoint from which the run can continue."""


def fit(
    step: TrainStep,
    state: TrainState,
    batches: TextBatches | PackedBatches | WindowBatches,
    rates: np.ndarray,
    evaluate_after: frozenset[int],
    callbacks: Callbacks,
) -> TrainState:
    """Train from the state's step to the last step, or until ``callbacks.should_stop``.

    Args:
      step: the training step.
      state: the state to begin from. Its buffers are donated.
      batches: step ``k``, counted from 1, gets batch ``k - 1``.
      rates: the learning rate of each step, float32 ``[steps]``.
      evaluate_after: numbers of the steps after which to evaluate.
      callbacks: called between steps.

    Returns:
      The state after the last step taken.
    """
    log_every = log_interval(len(rates))
    stretch, share = _Stretch(), rate_share(int(state.setbacks))
    first = int(state.step)
    for taken, batch in enumerate(_made_ahead(step, batches, range(first, len(rates))), start=first + 1):
        rate = rates[taken - 1] * share
        state, sums = step(state, batch, rate)
        stretch.add(sums)
        evaluating = taken in evaluate_after
        logging = evaluating or taken % log_every == 0
        if logging:
            stretch.wait()
        if logging or stretch.due:
            callbacks.progressed(stretch.end(taken, rate))
            if logging and state.skipped >= MOST_SKIPPED:
                state = callbacks.set_back(state, taken)
                share = rate_share(int(state.setbacks))
            if evaluating:
                callbacks.evaluate(state, taken)
            stretch.begin()
        stopping = callbacks.should_stop(taken)
        if stopping or callbacks.should_save(taken):
            callbacks.save(state, taken)
        if stopping:
            break
    return state


def _made_ahead(
    step: TrainStep, batches: TextBatches | PackedBatches | WindowBatches, numbers: range
) -> Iterator[Batch]:
    """The batches of these numbers; a thread makes a few of them ahead where the device needs no core of the host."""
    own, most = step.layout.own_rows(batches.rows), this_hardware().batches_ahead

    def make(k: int) -> Batch:
        batch = batches.batch(k, own)
        return jax.device_put(batch) if most and step.layout.single else batch

    if not most:
        yield from map(make, numbers)
        return
    ahead: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for k in numbers:
            ahead.append(pool.submit(make, k))
            if len(ahead) > most:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def log_interval(steps: int) -> int:
    """Number of steps between two records of a run's training loss. Each of them waits for the device."""
    fewest = min(this_hardware().steps_under_way, steps // 20) if this_hardware().wide else 1
    return max(1, fewest, min(steps // 200, 1000))


class _Stretch:
    """Sums over a stretch of steps, some of which the device may still be computing."""

    def __init__(self) -> None:
        self._under_way: deque[StepSums] = deque()
        self.begin()

    def begin(self) -> None:
        """Begin a new stretch; steps still under way belong to it."""
        self._progress, self._begun = Progress(), time.perf_counter()

    def add(self, sums: StepSums) -> None:
        """Add a step. If too many are under way, wait for the first quarter of them."""
        self._under_way.append(sums)
        most = this_hardware().steps_under_way
        if len(self._under_way) > most:
            self.wait(most - most // 4)

    def wait(self, limit: int = 0) -> None:
        """Wait until at most ``limit`` steps are under way."""
        count = max(0, len(self._under_way) - limit)
        for sums in jax.device_get([self._under_way.popleft() for _ in range(count)]):
            self._progress.steps += 1
            if sums.taken:
                self._progress.nats += float(sums.nats)
                self._progress.tokens += int(sums.tokens)
                self._progress.gradient_norm = float(sums.gradient_norm)
            else:
                self._progress.skipped += 1

    @property
    def due(self) -> bool:
        """Whether there is something to report and ``REPORT_EVERY`` seconds have passed."""
        return self._progress.steps > 0 and time.perf_counter() - self._begun > REPORT_EVERY

    def end(self, step: int, learning_rate: float) -> Progress:
        """Return the sums of the stretch, which ends after ``step``."""
        self._progress.step, self._progress.learning_rate = step, float(learning_rate)
        self._progress.seconds = time.perf_counter() - self._begun
        return self._progress
