"""Stretches: a run that was trained further has several stretches of steps, each with its own learning-rate schedule.

A run begins with one stretch. Each time it is trained further, another one begins from the state in which the last one
ended. ``docs/decisions/training-further.md`` explains the learning rate.
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
      steps: number of steps of the whole run at the end of the stretch.
      time_budget: the time budget for which it was planned; None if it was planned by steps or epochs, or by the
        default time budget.
    """

    steps: int
    time_budget: str | None = None


def stretch_rates(training: TrainingConfig, stretches: Sequence[Stretch]) -> np.ndarray:
    """The learning rate of each step of a run, float32 ``[steps]``.

    A further stretch has the same rates as these steps of one long run. With a cosine schedule the rate was 0 at the
    end of the stretch before, so it first rises to them linearly, over the steps of the warm-up.

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
    """The numbers of the steps after which a run is evaluated. Each stretch is evaluated like a run of its length.

    Args:
      stretches: the stretches, in order.
      points_within: number of steps → the numbers for such a run.
      begin: the step at which the first of the stretches begins.
    """
    points: set[int] = set()
    for stretch in stretches:
        points |= {begin + point for point in points_within(stretch.steps - begin)}
        begin = stretch.steps
    return frozenset(points)


class Standing(NamedTuple):
    """The progress of a run that is to be continued.

    Attributes:
      stretches: its stretches so far.
      taken: number of steps that it has taken.
      complete: whether it has taken all its steps, or patience has ended it.
      begun_with: the settings with which it was begun.
    """

    stretches: tuple[Stretch, ...]
    taken: int
    complete: bool
    begun_with: TrainingConfig


def further_steps(
    standing: Standing, asked: TrainingConfig, steps_per_epoch: int, more_time: bool = False
) -> int | str | None:
    """Decide whether and how far a run is trained further.

    Args:
      standing: the progress of the run.
      asked: the settings with which it is continued. Their length differs from the first one if the user gave another.
      steps_per_epoch: steps of one epoch.
      more_time: whether to add a stretch even if the time budget is the one that the run already had.

    Returns:
      The number of steps of the whole run, or a time budget for a new stretch; None to go on as planned.

    Raises:
      InputError: the run has more steps already, or must be completed before a time budget can be added.
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
                f"the run has taken {standing.taken:,} of its {last.steps:,} steps; leave out `time_budget` and "
                "`preset` to go on with it, and train it further when it is complete; or begin anew with `fresh`"
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
        f"the run {'has taken' if standing.complete else 'is planned for'} {last.steps:,} steps, and `{name}` is "
        f"{getattr(asked, name):,}{made}; give more to train it further, leave it out to go on as planned, or begin "
        "anew with `fresh`, which moves the old run aside"
    )


def describe_further(training: TrainingConfig, stretches: Sequence[Stretch]) -> str:
    """A sentence for the report: the steps of the last stretch, and its learning rate."""
    begin, end = stretches[-2].steps, stretches[-1].steps
    rate = stretch_rates(training, stretches)[begin:].max()
    course = (
        f"stays at {training.learning_rate:g}"
        if training.schedule == "constant"
        else f"rises to {rate:.2g}, as in one run of {end:,} steps, and falls to 0 again"
    )
    return f"training further, from step {begin:,} to step {end:,}: the learning rate {course}"
