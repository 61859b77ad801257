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
from flaxchar.settings import TrainingConfig
from flaxchar.sizes import in_bytes, machine_memory, step_bytes
from flaxchar.training.devices import Layout, agree
from flaxchar.training.loop import Progress
from flaxchar.training.state import TrainState, copy_tree
from flaxchar.training.step import TrainStep

# A run is evaluated this often at most, and at least this often where it is shorter than as many epochs.
MOST_EVALUATIONS = 10
FEWEST_EVALUATIONS = 4
# Held-out tokens read by all evaluations, at most, as a share of the training tokens: about a tenth of the time.
EVALUATED_SHARE = 0.3
# Two evaluations are at least this part of the usual spacing apart.
LEAST_SPACING = 0.5
# Timing the steps may take about this share of a time budget, and this many seconds: no line is shown meanwhile.
TIMING_SHARE = 0.01
MOST_TIMING = 10.0
# A time budget that leaves fewer steps than this is too short to learn anything, and the run says so.
FEW_STEPS = 20
# Steps that are timed at least, and batches that they are chosen from.
FEWEST_TIMED = 4
TIMED_BATCHES = 64
# A run is off its time budget when it ends this share of it too late or too early.
TOLERANCE = 0.1


class Costs(NamedTuple):
    """What the parts of a run cost, in seconds.

    Attributes:
      step: a training step, on average.
      evaluation: an evaluation, with its samples and its checkpoint.
    """

    step: float
    evaluation: float


class Budget(NamedTuple):
    """A time budget.

    Attributes:
      seconds: the whole time of the command.
      started: ``time.monotonic()`` when it began.
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
    """The training batches of a corpus: of separate texts, of several texts in a row, or of running text.

    Raises:
      InputError: several texts in a row were asked for, and the model reads sources or classifies; or a batch does not
        fit into this machine's memory.
    """
    batches = _batches(corpus, config, layout)
    if layout.mesh.devices.flat[0].platform == "cpu":
        _check_memory(batches, len(range(batches.rows)[layout.own_rows(batches.rows)]), config)
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


def _check_memory(batches: Batches, rows: int, config: Config) -> None:
    """Refuse batches that do not fit into the memory, where the system would end the process without a word."""
    width, memory = max(batches.widths), machine_memory()
    needed = step_bytes(config.model, rows, width)
    if memory is None or needed <= memory:
        return
    name, advice = ("window", "") if config.data.window else ("max_length", ", or read running text with `window`")
    raise InputError(
        f"a batch of {rows:,} × {width:,} tokens takes {in_bytes(needed)} or more to train on, but this machine has "
        f"{in_bytes(memory)} of memory; lower `{name}` or `batch_size`{advice}"
    )


def fixed_steps(training: TrainingConfig, steps_per_epoch: int) -> int | None:
    """The number of steps that the settings give; None where they give a time budget."""
    if training.steps is not None:
        return training.steps
    return None if training.epochs is None else training.epochs * steps_per_epoch


def make_budget(time_budget: str, started: float, reserved: float) -> Budget:
    """A time budget, as ``parse_duration`` reads it."""
    return Budget(parse_duration(time_budget), started, reserved)


def timing_seconds(time_budget: float) -> float:
    """How many seconds the steps are timed for, about, of a time budget in seconds."""
    return min(TIMING_SHARE * time_budget, MOST_TIMING)


def steps_within(seconds: float, costs: Costs, count_evaluations: Callable[[int], int]) -> int:
    """The greatest number of steps that fit into some seconds together with their evaluations; 1 at least.

    Args:
      seconds: the time for both.
      costs: the seconds of a step and of an evaluation.
      count_evaluations: how many evaluations a run of so many steps has.
    """

    def duration(steps: int) -> float:
        return steps * costs.step + count_evaluations(steps) * costs.evaluation

    possible = range(1, 1 + max(1, int(seconds / costs.step)))
    return max(1, bisect.bisect_right(possible, seconds, key=duration))


def evaluation_steps(total_steps: int, steps_per_epoch: int, most: int = MOST_EVALUATIONS) -> frozenset[int]:
    """Numbers of the steps after which a run is evaluated.

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
    """How often a run may be evaluated, so that reading the held-out texts takes about a tenth of its time at most.

    Args:
      training_tokens: tokens that all steps of the run read, padding included.
      held_out_tokens: tokens of the held-out texts.
    """
    affordable = int(EVALUATED_SHARE * training_tokens / max(1, held_out_tokens))
    return min(max(1, affordable), MOST_EVALUATIONS)


def time_steps(step: TrainStep, state: TrainState, batches: Batches, seconds: float) -> float:
    """Measure the mean seconds of a training step, on a copy of the state, for about ``seconds``.

    The run begins afterwards from the untouched state: the measurement changes nothing but the number of steps. The
    timed batches are spread evenly over the widths of the first ``TIMED_BATCHES``, because a step takes longer for a
    wide batch. Collective: every process must call it.
    """
    own = step.layout.own_rows(batches.rows)
    state = copy_tree(state)
    numbers = range(min(TIMED_BATCHES, batches.steps_per_epoch))
    widths = [batches.batch(k, own).inputs.shape[1] for k in numbers]
    by_width = sorted(numbers, key=lambda k: widths[k])

    hardware = this_hardware()

    def take(chosen: list[int]) -> float:
        nonlocal state
        # As in the run: batches are made ahead or between the steps, and some steps are under way.
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
    """Watches the speed of a run's steps, and tells once when the run will end off its time budget."""

    def __init__(self, budget: Budget, costs: Costs, evaluate_after: frozenset[int], steps: int) -> None:
        """Begin to watch.

        Args:
          budget: the time budget.
          costs: what steps and evaluations cost when the run was planned.
          evaluate_after: numbers of the steps after which the run is evaluated.
          steps: steps of the run.
        """
        self.budget, self._evaluation = budget, costs.evaluation
        self._evaluate_after, self._steps = evaluate_after, steps
        self._step_seconds = costs.step
        # Slower and faster stretches of steps are averaged over about this time, and a change must last as long.
        self._horizon = TOLERANCE * budget.seconds
        self._off_for = 0.0  # seconds of training since the run is off its budget
        self._told = False

    def add(self, progress: Progress) -> float | None:
        """Add a stretch of steps.

        Returns:
          How many seconds the command will take in all, once it is certain that this is off the budget; else None.
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
        """Seconds that the command will take in all, after ``step``."""
        evaluations = sum(point >= step for point in self._evaluate_after)
        to_come = (self._steps - step) * self._step_seconds + evaluations * self._evaluation
        return self.budget.seconds - self.budget.left() + to_come
