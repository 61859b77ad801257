"""A training session: from a corpus to a trained model. It plans or resumes a run, fits it, and keeps the best model.

The parts are in other modules: the step, the loop, the plan, the evaluator, the metrics, the saver, the best parameters
so far, and the supervisor, which the loop calls between the steps. This module connects them.
"""

from __future__ import annotations

import functools
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flaxchar.config import Config, TrainingDiverged
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.packed import PackedBatches
from flaxchar.kernels.random import fold_in, new_key
from flaxchar.models.charlm import count_params, make_model
from flaxchar.models.trained import TrainedModel, all_finite
from flaxchar.settings import DEFAULT_TIME_BUDGET
from flaxchar.training.best import Best
from flaxchar.training.devices import Layout, agree, leads, make_layout, on_host
from flaxchar.training.divergence import diverged
from flaxchar.training.evaluate import Evaluator
from flaxchar.training.initial import take_over
from flaxchar.training.loop import fit
from flaxchar.training.metrics import Metrics, held_out_results
from flaxchar.training.new_run import NewRun
from flaxchar.training.optimizers import make_optimizer
from flaxchar.training.orbax import import_orbax
from flaxchar.training.plan import (
    FEW_STEPS,
    Costs,
    Pace,
    evaluation_steps,
    fixed_steps,
    make_batches,
    make_budget,
    most_evaluations,
    steps_within,
    time_steps,
    timing_seconds,
)
from flaxchar.training.reporting import Observer, Report, describe
from flaxchar.training.run_directory import Run
from flaxchar.training.saver import SAVE_SECONDS, Saver, restore_state
from flaxchar.training.state import TrainState, copy_tree, init_state
from flaxchar.training.step import TrainStep
from flaxchar.training.stretches import (
    Standing,
    Stretch,
    describe_further,
    further_steps,
    stretch_points,
    stretch_rates,
)
from flaxchar.training.supervisor import Supervisor
from flaxchar.validation import counted


def train_corpus(
    corpus: EncodedCorpus,
    config: Config,
    path: Path | None = None,
    observer: Observer | None = None,
    started: float | None = None,
    fresh: bool = False,
    layout: Layout | None = None,
    reserved: float = 0.0,
    more_time: bool = False,
) -> TrainedModel:
    """Train a model on a corpus. If ``path`` has a run, resume it, or train it further.

    Args:
      corpus: the texts.
      config: the settings, validated.
      path: the run directory; None to write no files.
      observer: is told how training goes.
      started: ``time.monotonic()`` at which the time budget began; None for now.
      fresh: begin a new run; the run in ``path`` is renamed when the new one is ready to begin.
      layout: the devices; None for all devices.
      reserved: seconds of the time budget that the caller needs after training.
      more_time: train a complete run further even if the time budget is the one that it was planned for.

    Returns:
      The model with the best held-out result, or the last one if no texts are held out.

    Raises:
      InputError: the run in ``path`` was begun with other texts or settings, another process trains in it, a sample
        prompt cannot be encoded, or the run that the first weights come from does not exist.
      StorageError: the run cannot be written. After the cause is removed, the same call resumes from the last
        checkpoint.
      TrainingDiverged: the loss or the gradient exploded, even at lower learning rates.
    """
    started = time.monotonic() if started is None else started
    layout = make_layout(config.training) if layout is None else layout
    session = _Session(corpus, config, observer or Observer(), layout)
    run, new = None, None
    try:
        # The main process decides what depends on files or on the clock, and the others agree.
        if path is not None and agree(Run.exists(path) and not fresh):
            run = Run.open(path)
            session.resume(run, started, reserved, more_time)
        else:
            session.take_over()
            if path is not None and leads():
                new = NewRun(path, fresh)
            session.plan(started, reserved)
            if new is not None:
                run = session.begin_run(new)
        session.fit(run if leads() else None, path is not None)
        return session.best_model()
    finally:
        if run is not None:
            run.close()
        if new is not None:
            new.close()


class _Session:
    """The part of a run that one process executes."""

    def __init__(self, corpus: EncodedCorpus, config: Config, observer: Observer, layout: Layout) -> None:
        """Prepare everything that does not depend on the number of steps."""
        training = config.training
        self.corpus, self.config, self.observer, self.layout = corpus, config, observer, layout
        self.batches = make_batches(corpus, config, layout)
        self.model = make_model(corpus.vocabulary, config.model)
        self.evaluator = Evaluator(self.model, corpus, config)
        self.best = Best(training.patience)

        key, optimizer = new_key(training.seed), make_optimizer(training)
        self.init_state = functools.partial(
            init_state,
            *(self.model, optimizer, self.batches.rows, fold_in(key, 0), config.data.running, training.ema is not None),
        )
        with on_host():
            state = self.init_state()
        self.state = layout.place(state)
        self.step = TrainStep(self.model, optimizer, fold_in(key, 1), layout, training.ema)
        self.stretches: tuple[Stretch, ...] = ()
        self.pace: Pace | None = None
        self.good: TrainState | None = None  # the state to go back to when training diverges
        observer.prepared(describe(corpus, config, self.batches, count_params(state.params), layout))

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.stretches[-1].steps

    def take_over(self) -> None:
        """Begin with the weights of another run if the settings name one."""
        taken = take_over(self.config, self.corpus.vocabulary, self.layout.local(self.state.params))
        if taken is not None:
            self.state = self.layout.place(self.init_state(params=taken.params))
            self.observer.prepared([taken.sentence])

    def plan(self, started: float, reserved: float) -> None:
        """Decide how many steps a new run takes."""
        steps = fixed_steps(self.config.training, self.batches.steps_per_epoch)
        time_budget = self.config.training.time_budget
        if steps is None:
            self._plan_time(time_budget or DEFAULT_TIME_BUDGET, time_budget, started, reserved)
        else:
            self.stretches = (Stretch(steps),)

    def _plan_time(self, seconds: str, time_budget: str | None, started: float, reserved: float) -> None:
        """Measure what a step costs, and add a stretch with as many steps as fit into a time budget."""
        budget = make_budget(seconds, started, reserved)
        costs = self._measure(timing_seconds(budget.seconds))
        begin = self.steps if self.stretches else 0
        steps = agree(steps_within(budget.left(), costs, lambda steps: len(self._points_within(steps))))
        if steps < FEW_STEPS:
            self.observer.prepared(
                [
                    f"the time budget of {budget.seconds:g}s leaves time for {counted(steps, 'training step')} only: "
                    "compiling and evaluating take the rest; give it more time"
                ]
            )
        self.stretches += (Stretch(begin + steps, time_budget),)
        points = stretch_points(self.stretches[-1:], self._points_within, begin)
        self.pace = Pace(budget, costs, points, self.steps)

    def _measure(self, seconds: float) -> Costs:
        """Compile all programs of the run, then measure what a step and an evaluation cost."""
        params = self.layout.local(self.state.evaluation_params)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(self._compile_step)
            pool.submit(import_orbax)
            self.evaluator.compile(params)
        evaluation = self.evaluator.seconds(params) + SAVE_SECONDS
        return Costs(time_steps(self.step, self.state, self.batches, seconds), evaluation)

    def _compile_step(self) -> None:
        """Compile the step for every width. Meanwhile make the first batch, which takes a second for a large corpus."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self.batches.batch, int(self.state.step), self.layout.own_rows(self.batches.rows))
            packed = isinstance(self.batches, PackedBatches)
            self.step.compile(self.state, self.batches.rows, self.batches.widths, packed, self.observer.compiling)

    def _points_within(self, steps: int) -> frozenset[int]:
        """The numbers of the steps after which a run of this many steps is evaluated."""
        tokens = steps * self.batches.rows * self.batches.mean_width()
        most = most_evaluations(tokens, len(self.corpus.held_out.ids))
        return evaluation_steps(steps, self.batches.steps_per_epoch, most)

    def begin_run(self, new: NewRun) -> Run:
        """Create the run directory, and move an older run aside."""
        if (aside := new.move_aside()) is not None:
            self.observer.prepared([f"the run in {new.path} is now {aside}"])
        return new.begin(self.config, self.corpus.vocabulary, self.corpus.record, self.steps)

    def resume(self, run: Run, started: float, reserved: float, more_time: bool) -> None:
        """Resume a run from its last checkpoint; add a stretch if the settings ask for more steps or time."""
        run.check_settings(self.config)
        run.check_texts(self.corpus.record)
        run.check_vocabulary(self.corpus.vocabulary)
        if leads():
            run.record_paths(self.config)
            run.recover()
        self.stretches, checkpoints = run.stretches, run.checkpoints
        if leads() and (checkpoints.last_step() or 0) < self.steps:
            run.claim()
        saved = agree(-1 if (step := checkpoints.last_step()) is None else step)  # read with the lock held
        last = None if saved < 0 else saved
        unfinished = last is None or last < self.steps
        if last is None:
            self.take_over()
            if leads():
                run.forget_after(-1)
        else:
            state = restore_state(checkpoints, last, self.state)
            # A resumed run that began with the weights of another no longer has them.
            self.good = self.state if self.config.training.init_from is None else self.layout.place(copy_tree(state))
            best_step, bits = checkpoints.best() or (last, None)
            params = None
            if bits is not None and math.isfinite(bits):
                best = restore_state(checkpoints, best_step, self.state)
                self.good, params = self.layout.place(best), best.evaluation_params
            begin = self.stretches[-2].steps if len(self.stretches) > 1 else 0
            self.best.restore(held_out_results(run, last, after=begin), bits, params)
            self.state = self.layout.place(state)
            if leads() and unfinished:
                run.forget_after(last)
        complete = not unfinished or self.best.out_of_patience
        standing = Standing(self.stretches, last or 0, complete, run.config.training)
        further = further_steps(standing, self.config.training, self.batches.steps_per_epoch, more_time)
        if further is not None:
            self._train_further(run, standing, further, started, reserved)

    def _train_further(self, run: Run, standing: Standing, further: int | str, started: float, reserved: float) -> None:
        """Add a stretch to a run, from ``further_steps``."""
        if leads():
            run.claim()
        if standing.complete:  # patience may have ended the last stretch early
            self.stretches = (*self.stretches[:-1], self.stretches[-1]._replace(steps=standing.taken))
            self.best.restore([], self.best.bits_per_character, self.best.params)
        if isinstance(further, str):
            self._plan_time(further, further, started, reserved)
        else:
            self.stretches += (Stretch(further),)
        if leads():
            run.extend(self.stretches)
        self.observer.prepared([describe_further(self.config.training, self.stretches)])

    def fit(self, run: Run | None, saving: bool) -> None:
        """Train to the end, or until the observer asks to stop.

        Args:
          run: the run directory; None on processes that do not write, and for a run without a directory.
          saving: whether any process writes the run.
        """
        if self.state.step >= self.steps or self.best.out_of_patience:
            return
        batches = self.batches
        metrics = Metrics(
            run,
            self.observer,
            self.steps,
            batches.steps_per_epoch,
            self.corpus.characters_per_token(self.config.data),
            self.corpus.train_unknown.bits_per_character,
        )
        saver = Saver(self.layout, None if run is None else run.checkpoints) if saving else None
        if saver is not None and self.config.training.init_from is not None and self.state.step == 0:
            saver.save(self.state, 0)  # from now on, the run does not need the one that its weights came from
        self._compile_step()
        rates = stretch_rates(self.config.training, self.stretches)
        self.observer.planned(self._report(int(self.state.step)), batches.steps_per_epoch)
        points = stretch_points(self.stretches, self._points_within)
        supervisor = Supervisor(
            self.config,
            self.layout,
            self.evaluator,
            self.observer,
            metrics,
            self._report,
            self.best,
            copy_tree(self.state) if self.good is None else self.good,
            saver,
            self.pace,
        )
        self.state = fit(self.step, self.state, batches, rates, points, supervisor)

    def best_model(self) -> TrainedModel:
        """The model with the best held-out result, or the last one if no texts are held out.

        Raises:
          TrainingDiverged: no evaluation was finite, or the last parameters are not.
        """
        params = self.best.params
        if params is None:
            params = self.layout.local(self.state.evaluation_params)
            evaluated = bool(self.best.results)
            if evaluated or int(self.state.skipped) or not all_finite(params):
                where = "before its first evaluation" if evaluated else f"by step {int(self.state.step):,}"
                raise TrainingDiverged(diverged(self.config.training, where))
        return TrainedModel(params, self.corpus.vocabulary, self.config)

    def _report(self, step: int) -> Report:
        epoch, further = step / self.batches.steps_per_epoch, len(self.stretches) > 1
        return Report(step, self.steps, epoch, further=further)
