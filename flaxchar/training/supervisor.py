"""The supervisor: between the steps of a run, it reports progress, evaluates, saves, and stops training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax

from flaxchar.config import Config
from flaxchar.training.best import Best
from flaxchar.training.devices import Layout, agree
from flaxchar.training.divergence import MOST_NATS, rate_share, set_back
from flaxchar.training.evaluate import Evaluator
from flaxchar.training.loop import Progress, log_interval
from flaxchar.training.metrics import Metrics
from flaxchar.training.plan import Pace
from flaxchar.training.reporting import Observer, Report
from flaxchar.training.saver import Saver
from flaxchar.training.state import TrainState, copy_tree


@dataclasses.dataclass
class Supervisor:
    """Reports, evaluates, saves and stops a run. Implements the loop's ``Callbacks``.

    Attributes:
      config: the settings.
      layout: the devices.
      evaluator: computes the held-out loss and writes samples.
      observer: is told how training goes, and asked whether to stop.
      metrics: records training and held-out losses.
      report: makes the report of a step, without results.
      best: the best parameters so far.
      good: the state to go back to when training diverges.
      saver: writes the checkpoints; None for a run without a directory.
      pace: compares the run with its time budget; None without a budget.
    """

    config: Config
    layout: Layout
    evaluator: Evaluator
    observer: Observer
    metrics: Metrics
    report: Callable[[int], Report]
    best: Best
    good: TrainState
    saver: Saver | None = None
    pace: Pace | None = None

    def progressed(self, progress: Progress) -> None:
        """Record and report some steps. Tell the observer if the run will miss its time budget."""
        self.metrics.progressed(progress)
        if self.pace is not None and (expected := self.pace.add(progress)) is not None:
            self.observer.off_budget(expected, self.pace.budget.seconds)

    def evaluate(self, state: TrainState, step: int) -> None:
        """Evaluate and save; keep the parameters if they are the best."""
        params = self.layout.local(state.evaluation_params)
        evaluation, samples = self.evaluator.evaluate(params)
        report = dataclasses.replace(
            self.report(step), evaluation=evaluation, samples=samples, trained=self.evaluator.trained(params)
        )
        self.metrics.evaluated(report)
        bits = None if evaluation is None else evaluation.bits_per_character
        if evaluation is not None and not evaluation.loss <= MOST_NATS:
            bits = math.inf  # training has diverged: never the best
        self.save(state, step, None if bits == math.inf else bits)
        if bits is not None and self.best.add(bits):
            self.good = copy_tree(state)
            # The next step reuses the buffers of `state`, and of `params` where one device has both.
            self.best.params = self.good.evaluation_params if self.layout.single else params
        self.observer.evaluated(report)

    def set_back(self, state: TrainState, step: int) -> TrainState:
        """Go back to the best evaluated state, or to the first state, at half the learning rate."""
        good_step = int(self.good.step)
        state = set_back(state, self.good, self.config.training)
        self.observer.set_back(step, good_step, rate_share(int(state.setbacks)))
        return state

    def should_stop(self, step: int) -> bool:
        """Whether patience has run out, or the observer asks to stop."""
        if self.config.training.patience is not None and agree(self.best.out_of_patience):
            return True
        return self._processes_meet(step) and agree(self.observer.should_stop())

    def should_save(self, step: int) -> bool:
        """Whether it is time to save."""
        return self.saver is not None and self._processes_meet(step) and self.saver.due()

    def save(self, state: TrainState, step: int, bits_per_character: float | None = None) -> None:
        """Save the state, unless the run has no directory."""
        self.metrics.sync()
        if self.saver is not None:
            self.saver.save(state, step, bits_per_character)

    def _processes_meet(self, step: int) -> bool:
        """Whether the processes may agree on something after this step. Not after each: it takes longer than a step."""
        return jax.process_count() == 1 or step % log_interval(self.report(step).steps) == 0
