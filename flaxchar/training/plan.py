"""The plan of a run: its batches, its steps and its evaluations, and whether it keeps its time budget."""

from __future__ import annotations

import bisect
import itertools
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flaxchar.config import Config, InputError, parse_duration
from flaxchar.data.batches import TextBatches, WindowBatches
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.packed import PackedBatches
from flaxchar.hardware import this_hardware
from flaxchar.models.charlm import make_model
from flaxchar.settings import TrainingConfig
from flaxchar.sizes import in_bytes, machine_memory, step_bytes
from flaxchar.training.devices import Layout, agree
from flaxchar.training.loop import Progress
from flaxchar.training.state import TrainState, copy_tree
from flaxchar.training.step import TrainStep

# The most evaluations of a run. A run of fewer epochs than the second number is evaluated about that often.
MOST_EVALUATIONS = 10
FEWEST_EVALUATIONS = 4
# All evaluations together read at most this share of the number of training tokens: about a tenth of the run's time.
EVALUATED_SHARE = 0.3
# The least distance of two evaluations, as a share of the usual distance.
LEAST_SPACING = 0.5
# Timing the steps takes about this share of a time budget, and at most so many seconds, because no line is shown
# meanwhile.
TIMING_SHARE = 0.01
MOST_TIMING = 10.0
# The run warns if a time budget leaves fewer steps than this: too few to learn anything.
FEW_STEPS = 20
# The fewest steps that are timed, and the number of first batches from which they are chosen.
FEWEST_TIMED = 4
TIMED_BATCHES = 64
# A run misses its time budget if it ends later or earlier by more than this share of the budget.
TOLERANCE = 0.1


class Costs(NamedTuple):
    """What the parts of a run cost, in seconds.

    Attributes:
      step: a training step, on average.
      evaluation: an evaluation, including its samples and its checkpoint.
    """

    step: float
    evaluation: float


class Budget(NamedTuple):
    """A time budget.

    Attributes:
      seconds: seconds for the whole command.
      started: ``time.monotonic()`` when the command began.
      reserved: seconds that the command needs after training.
    """

    seconds: float
    started: float
    reserved: float

    def left(self) -> float:
        """Seconds that are left for training and its evaluations."""
        return self.seconds - (time.monotonic() - self.started) - self.reserved


# The training batches of a run.
Batches = TextBatches | PackedBatches | WindowBatches


def make_batches(corpus: EncodedCorpus, config: Config, layout: Layout) -> Batches:
    """The training batches of a corpus: a text in each row, several texts in each row, or windows of running text.

    Raises:
      InputError: the settings ask for several texts in a row, but the model reads sources or classifies; or a batch
        does not fit into this machine's memory.
    """
    batches = _batches(corpus, config, layout)
    if layout.mesh.devices.flat[0].platform == "cpu":
        rows = len(range(batches.rows)[layout.own_rows(batches.rows)])
        _check_memory(batches, rows, config, make_model(corpus.vocabulary, config.model).source_end is not None)
    return batches


def _batches(corpus: EncodedCorpus, config: Config, layout: Layout) -> Batches:
    data, training, eos = config.data, config.training, corpus.vocabulary.eos
    if data.window:
        return WindowBatches(corpus.train, training.batch_size, eos, data.window, data.bos, layout.data_shards)
    if training.buckets == 0:
        if corpus.train.source_end is not None or not corpus.train.ends:
            raise InputError(
                "`buckets` is 0, which packs several texts into a row; a classifier and a model with sources need a "
                "row for each text: give 1 or more"
            )
        return PackedBatches(corpus.train, training.batch_size, eos, data.bos, training.seed, layout.data_shards)
    return TextBatches(
        corpus.train, training.batch_size, eos, data.bos, training.seed, training.buckets, layout.data_shards
    )


def _check_memory(batches: Batches, rows: int, config: Config, sources: bool) -> None:
    """Refuse batches that do not fit into memory: the system would kill the process without a message."""
    width, memory = max(batches.widths), machine_memory()
    needed = step_bytes(config.model, rows, width, sources)
    if memory is None or needed <= memory:
        return
    name = "window" if config.data.window else "max_length"
    advice = "" if config.data.window or sources else ", or read running text with `window`"
    raise InputError(
        f"a batch of {rows:,} × {width:,} tokens takes {in_bytes(needed)} or more to train on, but this machine has "
        f"{in_bytes(memory)} of memory; lower `{name}` or `batch_size`{advice}"
    )


def fixed_steps(training: TrainingConfig, steps_per_epoch: int) -> int | None:
    """The number of steps in the settings; None if they have a time budget."""
    if training.steps is not None:
        return training.steps
    return None if training.epochs is None else training.epochs * steps_per_epoch


def make_budget(time_budget: str, started: float, reserved: float) -> Budget:
    """A time budget, as ``parse_duration`` reads it."""
    return Budget(parse_duration(time_budget), started, reserved)


def timing_seconds(time_budget: float) -> float:
    """About how many seconds of a time budget are spent on timing the steps."""
    return min(TIMING_SHARE * time_budget, MOST_TIMING)


def steps_within(seconds: float, costs: Costs, count_evaluations: Callable[[int], int]) -> int:
    """The largest number of steps that fit, with their evaluations, into some seconds; at least 1.

    Args:
      seconds: the time for steps and evaluations.
      costs: the seconds of a step and of an evaluation.
      count_evaluations: number of steps → number of evaluations of such a run.
    """

    def duration(steps: int) -> float:
        return steps * costs.step + count_evaluations(steps) * costs.evaluation

    possible = range(1, 1 + max(1, int(seconds / costs.step)))
    return max(1, bisect.bisect_right(possible, seconds, key=duration))


def evaluation_steps(total_steps: int, steps_per_epoch: int, most: int = MOST_EVALUATIONS) -> frozenset[int]:
    """The numbers of the steps after which a run is evaluated.

    In order of priority: the last step; the ends of epochs, evenly thinned to ``most``; and, in a run of fewer than
    ``FEWEST_EVALUATIONS`` epochs, the quarters of the run. A step too close to one of higher priority is left out.
    """
    epochs, fewest = total_steps // steps_per_epoch, min(FEWEST_EVALUATIONS, most)
    count = min(epochs, most)
    candidates = [-(-epochs * k // count) * steps_per_epoch for k in range(count, 0, -1)]
    if epochs < fewest:
        candidates += [total_steps * k // fewest for k in range(1, fewest)]
    usual = total_steps / fewest if epochs < fewest else epochs * steps_per_epoch / count
    points = [total_steps]
    for point in candidates:
        if point > 0 and all(abs(point - other) >= LEAST_SPACING * usual for other in points):
            points.append(point)
    return frozenset(points)


def most_evaluations(training_tokens: float, held_out_tokens: int) -> int:
    """The most evaluations of a run, so that they take at most about a tenth of its time.

    Args:
      training_tokens: tokens that all steps of the run read, padding included.
      held_out_tokens: tokens of the held-out texts.
    """
    affordable = int(EVALUATED_SHARE * training_tokens / max(1, held_out_tokens))
    return min(max(1, affordable), MOST_EVALUATIONS)


def time_steps(step: TrainStep, state: TrainState, batches: Batches, seconds: float) -> float:
    """Measure the mean seconds of a training step, for about ``seconds``.

    The steps are taken on a copy of the state, so the run itself does not change. The timed batches are spread evenly
    over the widths of the first ``TIMED_BATCHES``, because a step takes longer for a wide batch. Collective: every
    process must call it.
    """
    own = step.layout.own_rows(batches.rows)
    state = copy_tree(state)
    numbers = range(min(TIMED_BATCHES, batches.steps_per_epoch))
    widths = [batches.batch(k, own).inputs.shape[1] for k in numbers]
    by_width = sorted(numbers, key=lambda k: widths[k])

    hardware = this_hardware()

    def take(chosen: list[int]) -> float:
        nonlocal state
        # As in the training loop, batches are made ahead or between the steps, and several steps are enqueued.
        ahead = {k: batches.batch(k, own) for k in set(chosen)} if hardware.batches_ahead else None
        begin = time.perf_counter()
        for count, k in enumerate(chosen, start=1):
            state, sums = step(state, batches.batch(k, own) if ahead is None else ahead[k], np.float32(0))
            if count % hardware.steps_under_way == 0 or count == len(chosen):
                sums.nats.block_until_ready()
        return time.perf_counter() - begin

    take(list({widths[k]: k for k in by_width}.values()))  # not counted: the first step of a width takes longer
    for count in (FEWEST_TIMED * 2**k for k in itertools.count()):
        chosen = [by_width[(2 * j + 1) * len(by_width) // (2 * count)] for j in range(count)]
        elapsed = take(chosen)
        if agree(elapsed > seconds / 2):
            return elapsed / sum(widths[k] for k in chosen) * batches.mean_width()
    raise AssertionError("there is no last number")


class Pace:
    """Watches the speed of a run's steps, and reports once if the run will miss its time budget."""

    def __init__(self, budget: Budget, costs: Costs, evaluate_after: frozenset[int], steps: int) -> None:
        """Begin to watch.

        Args:
          budget: the time budget.
          costs: the costs with which the run was planned.
          evaluate_after: the numbers of the steps after which the run is evaluated.
          steps: number of steps of the run.
        """
        self.budget, self._evaluation = budget, costs.evaluation
        self._evaluate_after, self._steps = evaluate_after, steps
        self._step_seconds = costs.step
        # The speed is averaged over about so many seconds, and a change must last as long to be reported.
        self._horizon = TOLERANCE * budget.seconds
        self._off_for = 0.0  # seconds of training for which the run has been off its budget
        self._told = False

    def add(self, progress: Progress) -> float | None:
        """Add the progress of some steps.

        Returns:
          The expected seconds of the whole command, once, when it is certain to miss its budget; otherwise None.
        """
        if progress.steps:
            weight = 1 - math.exp(-progress.seconds / self._horizon)
            self._step_seconds += weight * (progress.seconds / progress.steps - self._step_seconds)
        expected, most_off = self.expected(progress.step), TOLERANCE * self.budget.seconds
        off = abs(expected - self.budget.seconds) > most_off
        self._off_for = self._off_for + progress.seconds if off else 0.0
        too_late = self.budget.left() < -most_off
        if self._told or not off or not (self._off_for > self._horizon or too_late):
            return None
        self._told = True
        return expected

    def expected(self, step: int) -> float:
        """The expected seconds of the whole command, as estimated after ``step``."""
        evaluations = sum(point >= step for point in self._evaluate_after)
        to_come = (self._steps - step) * self._step_seconds + evaluations * self._evaluation
        return self.budget.seconds - self.budget.left() + to_come
