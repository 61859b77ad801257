"""Stretches: a run that was trained further has several, each with its own course of the learning rate.

A run begins with one stretch. Every time it is trained further, another follows, from the state in which the one before
ended. ``docs/decisions/training-further.md`` says how the learning rate goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from flaxchar.config import InputError, parse_duration
from flaxchar.settings import TrainingConfig
from flaxchar.training.optimizers import learning_rates


class Stretch(NamedTuple):
    """A stretch of a run.

    Attributes:
      steps: steps of the run in all when the stretch ends.
      time_budget: the time budget that it was planned for; None for a number of steps.
    """

    steps: int
    time_budget: str | None = None


def stretch_rates(training: TrainingConfig, stretches: Sequence[Stretch]) -> np.ndarray:
    """The learning rate of each step of a run, float32 ``[steps]``.

    A further stretch has the rates that one run of all the steps would have there. Where a cosine has let the rate fall
    to 0, it rises to them in the steps of a warm-up.

    Example::

        stretch_rates(TrainingConfig(), [Stretch(1000), Stretch(1500)])  # 1,500 rates
    """
    parts, begin = [], 0
    for stretch in stretches:
        rates = learning_rates(training, stretch.steps)[begin:]
        if begin and training.schedule == "cosine":
            warmup = max(1, min(training.warmup_steps, len(rates) // 2))
            rates = rates * np.minimum(1, np.arange(1, len(rates) + 1) / warmup).astype(np.float32)
        parts.append(rates)
        begin = stretch.steps
    return np.concatenate(parts)


def stretch_points(
    stretches: Sequence[Stretch], points_within: Callable[[int], frozenset[int]], begin: int = 0
) -> frozenset[int]:
    """Numbers of the steps after which a run is evaluated. Each stretch is evaluated like a run of its length.

    Args:
      stretches: the stretches, in order.
      points_within: the numbers for a run of so many steps.
      begin: the step at which the first of the stretches begins.
    """
    points: set[int] = set()
    for stretch in stretches:
        points |= {begin + point for point in points_within(stretch.steps - begin)}
        begin = stretch.steps
    return frozenset(points)


class Standing(NamedTuple):
    """Where a run stands that is to be continued.

    Attributes:
      stretches: its stretches so far.
      taken: steps that it has taken.
      complete: whether it has taken all its steps, or has run out of patience.
      begun_with: the settings that it was begun with.
    """

    stretches: tuple[Stretch, ...]
    taken: int
    complete: bool
    begun_with: TrainingConfig


def further_steps(
    standing: Standing, asked: TrainingConfig, steps_per_epoch: int, more_time: bool = False
) -> int | str | None:
    """Decide whether a run is to be trained further.

    Args:
      standing: where the run stands.
      asked: the settings it is continued with; they differ from those it was begun with where the user gave a length.
      steps_per_epoch: steps of a pass over the texts.
      more_time: whether a time budget is asked for once more even if it is the one that the run was given before.

    Returns:
      Steps in all; or a time budget for the stretch to add; None to go on as planned.

    Raises:
      InputError: the length that is asked for cannot be.
    """
    last, before = standing.stretches[-1], standing.begun_with
    lengths = asked.epochs, asked.steps, asked.time_budget
    as_begun = lengths == (before.epochs, before.steps, before.time_budget)
    if asked.time_budget is not None:
        same = last.time_budget is not None and parse_duration(last.time_budget) == parse_duration(asked.time_budget)
        if (as_begun or same) and not (more_time and standing.complete):
            return None
        if not standing.complete:
            raise InputError(
                f"the run has taken {standing.taken:,} of its {last.steps:,} steps; go on with it first, without "
                "`time_budget`, and train it further when it is complete"
            )
        return asked.time_budget
    if as_begun:
        return None
    wanted = asked.steps if asked.steps is not None else (asked.epochs or 0) * steps_per_epoch
    if any(wanted == stretch.steps for stretch in standing.stretches):
        return None
    if wanted > (standing.taken if standing.complete else last.steps):
        return wanted
    name = "steps" if asked.steps is not None else "epochs"
    made = "" if asked.steps is not None else f", which makes {wanted:,} steps"
    raise InputError(
        f"the run has {'taken' if standing.complete else 'planned'} {last.steps:,} steps, and `{name}` is "
        f"{getattr(asked, name):,}{made}; give more to train it further, leave it out to go on as planned, or begin "
        "anew with `fresh`, which moves the old run aside"
    )


def describe_further(training: TrainingConfig, stretches: Sequence[Stretch]) -> str:
    """A sentence for people: which steps the last stretch adds, and how the learning rate goes on."""
    begin, end = stretches[-2].steps, stretches[-1].steps
    rate = stretch_rates(training, stretches)[begin:].max()
    course = (
        f"stays at {training.learning_rate:g}"
        if training.schedule == "constant"
        else f"rises to {rate:.2g}, as in one run of {end:,} steps, and falls to 0 again"
    )
    return f"training further, from step {begin:,} to step {end:,}: the learning rate {course}"
