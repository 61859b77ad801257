"""A training session: one process' share of a run, from texts to trained parameters."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxchar.config import DEFAULT_TIME_BUDGET, Config, InputError, TrainingConfig, parse_duration
from flaxchar.data.batches import TextBatches, WindowBatches
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.decode import generate
from flaxchar.generation.sampling import Sampling
from flaxchar.kernels import build
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.kernels.random import fold_in, new_key
from flaxchar.models.charlm import Params, count_params, make_model
from flaxchar.models.evaluation import Evaluation, evaluate
from flaxchar.models.lstm import runs_natively
from flaxchar.training.devices import Layout, agree, leads, make_layout
from flaxchar.training.optimizers import learning_rates, make_optimizer
from flaxchar.training.run_directory import Run, move_aside
from flaxchar.training.step import (
    EVALUATED_SHARE,
    MOST_EVALUATIONS,
    CompiledStep,
    Progress,
    TrainState,
    copy_tree,
    evaluation_steps,
    fit,
    init_state,
    log_interval,
    time_steps,
)

# A run saves itself at least this often, seconds.
SAVE_EVERY = 60.0
# The share of a time budget that measuring the speed of a step may take.
TIMING_SHARE = 0.01
SAMPLE_TEMPERATURE = 0.8
SHOWN_LABELS = 4
SHOWN_SOURCES = 2


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text written at an evaluation."""

    prompt: str
    temperature: float
    text: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Where a run stands after an evaluation, or where it began.

    Attributes:
      step: steps taken.
      steps: steps in all.
      epoch: passes over the texts.
      evaluation: on the held-out texts; None where there are none.
      samples: what the model writes.
    """

    step: int
    steps: int
    epoch: float
    evaluation: Evaluation | None = None
    samples: tuple[Sample, ...] = ()


class Observer:
    """Is told how training goes, and may ask it to stop. This one ignores everything."""

    def prepared(self, lines: list[str]) -> None:
        """The vocabulary, the batches and the model are known; ``lines`` say what they are."""

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Training begins, or goes on, at this step."""

    def progressed(self, progress: Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """A stretch of steps is done, which read so many characters."""

    def evaluated(self, report: Report) -> None:
        """An evaluation is done."""

    def should_stop(self) -> bool:
        """Whether to save and leave."""
        return False


def train_corpus(
    corpus: EncodedCorpus,
    config: Config,
    path: Path | None = None,
    observer: Observer | None = None,
    started: float | None = None,
    fresh: bool = False,
    layout: Layout | None = None,
) -> tuple[Params, Vocabulary]:
    """Train a model on a corpus, going on with the run in ``path`` where there is one.

    Args:
      corpus: the texts.
      config: the settings, validated.
      path: the run directory; None to keep nothing.
      observer: told how it goes.
      started: ``time.monotonic()`` from which a time budget counts; None for now.
      fresh: begin anew; the run in ``path`` is renamed when the new one is ready to begin.
      layout: on which devices; None for all there are.

    Returns:
      The parameters that did best on the held-out texts (the last ones where nothing is held out), and the vocabulary.

    Raises:
      InputError: the run in ``path`` was begun with other texts or settings, or a sample prompt cannot be encoded.
    """
    started = time.monotonic() if started is None else started
    layout = make_layout(config.training) if layout is None else layout
    session = _Session(corpus, config, observer or Observer(), layout)
    # What depends on the clock or on files is for the first process to say.
    if path is None:
        session.steps = session.plan(started)
    elif agree(Run.exists(path) and not fresh):
        session.resume(Run.open(path))
    else:
        session.steps = session.plan(started)
        if leads():
            if Run.exists(path):
                session.observer.prepared([f"the run in {path} is now {move_aside(path)}"])
            run = Run.create(path, config, session.vocabulary, corpus.record, session.steps)
            run.claim()
            session.run = run
    try:
        session.fit()
        return session.best_params(), session.vocabulary
    finally:
        if session.run is not None:
            session.run.close()


class _Session:
    """One process' share of a run: everything between the texts and the trained parameters. Implements ``Hooks``."""

    def __init__(self, corpus: EncodedCorpus, config: Config, observer: Observer, layout: Layout) -> None:
        data, training = config.data, config.training
        self.layout = layout
        self.corpus, self.config, self.observer = corpus, config, observer
        self.run: Run | None = None
        self.steps = 0
        self.best: tuple[float, Params] | None = None
        self.held_out: list[float] = []  # bits per character at each evaluation
        self.vocabulary = vocabulary = corpus.vocabulary
        texts, running = corpus.train, data.running
        if not data.window:
            self.batches: TextBatches | WindowBatches = TextBatches(
                texts, training.batch_size, vocabulary.eos, data.bos, training.seed, training.buckets, layout.data
            )
        else:
            self.batches = WindowBatches(texts, training.batch_size, vocabulary.eos, data.window, data.bos, layout.data)
        tokens = len(texts.ids) + len(texts) - (0 if data.bos else 1 if running else len(texts))
        self.characters_per_token = corpus.train_characters / tokens if texts.ends else 1.0
        self.prompts = self._sample_prompts(training)

        self.model = make_model(vocabulary, config.model)
        self.optimizer = make_optimizer(training)
        self.key = new_key(training.seed)
        averaged = training.ema is not None
        self.state = init_state(self.model, self.optimizer, self.batches.rows, fold_in(self.key, 0), running, averaged)
        self.state = layout.place(self.state)
        self.observer.prepared(self._describe())
        self.saved_at = time.monotonic()
        self.since_log = Progress()

    def _sample_prompts(self, training: TrainingConfig) -> list[tuple[str, np.ndarray]]:
        if self.vocabulary.classifies:
            return []  # it writes nothing
        shown = self.corpus.held_out if len(self.corpus.held_out) else self.corpus.train
        if shown.source_end is not None:
            sources = [shown[k][:end] for k, end in enumerate(shown.sources[:SHOWN_SOURCES].tolist())]
            return [(f"{self.vocabulary.decode(ids[:-1])} → ", ids.astype(np.int32)) for ids in sources]
        if labels := self.vocabulary.labels:
            own = training.sample_prompts != TrainingConfig().sample_prompts
            return [
                (f"{name}: {prompt}", np.concatenate([[label], self.vocabulary.encode(prompt)]).astype(np.int32))
                for name, label in zip(labels[:SHOWN_LABELS], self.vocabulary.label_ids, strict=False)
                for prompt in (training.sample_prompts if own else ("",))
            ]
        prompts = []
        for prompt in training.sample_prompts:
            try:
                prompts.append((prompt, self.vocabulary.encode(prompt)))
            except InputError:
                if training.sample_prompts != TrainingConfig().sample_prompts:
                    raise
                prompts.append(("", self.vocabulary.encode("")))  # nobody asked for this prompt
        return prompts

    @functools.cached_property
    def step(self) -> CompiledStep:
        """The training step, compiled when it is first needed: a run that is complete needs none."""
        key, ema = fold_in(self.key, 1), self.config.training.ema
        return CompiledStep(self.model, self.optimizer, self.layout, self.state, self.batches, key, ema)

    def _describe(self) -> list[str]:
        data, vocabulary, batches = self.config.data, self.vocabulary, self.batches
        unit = "characters" if data.unit == "char" else "words"
        lines = [
            f"vocabulary: {vocabulary.size:,} ids ({len(vocabulary.tokens):,} {unit}, padding, <eos>"
            + (", an unknown token)" if vocabulary.has_unknown else ")")
        ]
        if missing := self.corpus.missing:
            shown = ", ".join(map(repr, itertools.islice(missing, 8)))
            lines.append(
                f"the held-out texts hold {sum(missing.values()):,} {unit} that never occur in training, left out "
                f"there: {shown}"
            )
        parameters = count_params(self.state.params)
        widths = ", ".join(map(str, batches.widths))
        shapes = "one shape" if len(batches.widths) == 1 else f"{len(batches.widths)} shapes"
        lines.append(
            f"model: {parameters:,} parameters; batches of {batches.rows} × {widths} {unit} ({shapes} to compile)"
        )
        model, how = self.config.model, build.status()
        with jax.set_mesh(self.layout.mesh):
            in_kernel = model.cell in NATIVE_CELLS and runs_natively(model.dtype)
        if build.available() and not in_kernel:
            how = f"JAX (the native kernel is for {', '.join(NATIVE_CELLS)} in float32, whole on each device)"
        lines.append(f"recurrence: {how}" + (f"; {self.layout.describe()}" if not self.layout.alone else ""))
        return lines

    def plan(self, started: float) -> int:
        """How many steps to take; a time budget is turned into steps by timing some on a copy of the state."""
        training = self.config.training
        if training.steps is not None:
            return training.steps
        if training.epochs is not None:
            return training.epochs * self.batches.steps_per_epoch
        budget = parse_duration(training.time_budget or DEFAULT_TIME_BUDGET)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: self.step)  # compiles, as does to evaluate and to write
            self._look(self.state)
        begin = time.perf_counter()
        self._look(self.state)
        per_look = time.perf_counter() - begin
        per_step = time_steps(self.step, self.state, self.batches, TIMING_SHARE * budget)
        left = budget - (time.monotonic() - started)
        steps = left / per_step
        for _ in range(3):  # how often a run is evaluated depends on how long it is
            looks = len(self.evaluation_steps(max(1, int(steps))))
            steps = (left - looks * per_look) / per_step
        return agree(max(1, int(steps)))

    def evaluation_steps(self, steps: int) -> frozenset[int]:
        """After which of so many steps to evaluate."""
        learned = steps * self.batches.rows * self.batches.mean_width()
        most = int(EVALUATED_SHARE * learned / max(1, len(self.corpus.held_out.ids)))
        return evaluation_steps(steps, self.batches.steps_per_epoch, min(max(1, most), MOST_EVALUATIONS))

    def resume(self, run: Run) -> None:
        """Go on with a run from its last checkpoint."""
        if not run.record["texts"]:
            raise InputError(f"{run.path} holds a model that was saved by itself: there is no training to go on with")
        run.check_settings(self.config)
        if run.record["texts"]["sha256"] != self.corpus.record["sha256"]:
            raise InputError(
                f"the texts have changed since the run in {run.path} was begun; bring them back, or begin anew with "
                "--fresh, which moves the old run aside"
            )
        last = run.last_step()
        self.steps = run.steps
        if leads():
            self.run = run
            if last is None or last < run.steps:
                run.claim()
        if last is not None:
            params, training = run.restore(last, self.state.best_params, _beside_params(self.state))
            own, average = (training["params"], params) if "params" in training else (params, None)
            state = TrainState(jax.numpy.int32(last), own, training["opt_state"], training["carry"], average)
            self.state = self.layout.place(state)
            self.held_out = run.held_out_bits(last)
            best = run.best()
            if best is not None and best[1] is not None:
                self.best = best[1], run.restore(best[0], params)[0]
            if leads() and last < run.steps:
                run.forget_after(last)
        if not leads():
            run.close()

    def fit(self) -> None:
        """Train to the end, or until the observer says stop."""
        if self.state.step >= self.steps or self.out_of_patience:
            return
        step = self.step
        rates = learning_rates(self.config.training, self.steps)
        self.observer.planned(self._report(int(self.state.step)), self.batches.steps_per_epoch)
        self.state = fit(step, self.state, self.batches, rates, self.evaluation_steps(self.steps), self)

    def best_params(self) -> Params:
        """The parameters that did best on the held-out texts, or the last ones."""
        return self.layout.local(self.state.best_params) if self.best is None else self.best[1]

    @property
    def out_of_patience(self) -> bool:
        """Whether the last evaluations brought nothing new."""
        patience = self.config.training.patience
        if patience is None or not self.held_out:
            return False
        return len(self.held_out) - 1 - self.held_out.index(min(self.held_out)) >= patience

    def _report(self, step: int, evaluation: Evaluation | None = None, samples: tuple[Sample, ...] = ()) -> Report:
        return Report(step, self.steps, step / self.batches.steps_per_epoch, evaluation, samples)

    def _look(self, state: TrainState) -> tuple[Evaluation | None, tuple[Sample, ...]]:
        """Evaluate, and write some samples: each process by itself, so that none waits for another."""
        data, params = self.config.data, self.layout.local(state.best_params)
        evaluation = None
        if len(self.corpus.held_out):
            evaluation = evaluate(
                self.model,
                params,
                self.corpus.held_out,
                self.corpus.held_out_characters,
                self.vocabulary.eos,
                data.bos,
                data.window or None,
            )
        samples = []
        for prompt, ids in self.prompts:
            for temperature in (0.0, SAMPLE_TEMPERATURE):
                size = max(300, len(ids))
                (text,) = generate(
                    self.model,
                    params,
                    self.vocabulary,
                    ids,
                    size=size,
                    seed=self.config.training.seed,
                    sampling=Sampling(temperature),
                    bos=data.bos,
                )
                samples.append(Sample(prompt, temperature, prompt + self.vocabulary.decode(text)))
        return evaluation, tuple(samples)

    def _save(self, state: TrainState, step: int, bits_per_character: float | None = None) -> None:
        params, training = self.layout.fetch((state.best_params, _beside_params(state)))
        if self.run is not None:
            self.run.save(step, params, training, bits_per_character)
        self.saved_at = time.monotonic()

    def progressed(self, progress: Progress) -> None:
        """Record the training loss at fixed steps, and tell the observer."""
        self.observer.progressed(progress, self.steps, *self._bits_and_characters(progress))
        total = self.since_log
        total.nats, total.tokens = total.nats + progress.nats, total.tokens + progress.tokens
        total.seconds += progress.seconds
        if self.run is not None and (progress.step % log_interval(self.steps) == 0 or progress.step == self.steps):
            bits, characters = self._bits_and_characters(total)
            record = {
                "step": progress.step,
                "epoch": round(progress.step / self.batches.steps_per_epoch, 4),
                "loss": total.nats / max(1, total.tokens),
                "bits_per_character": bits,
                "gradient_norm": progress.gradient_norm,
                "learning_rate": progress.learning_rate,
                "characters_per_second": round(characters / max(1e-9, total.seconds)),
                "seconds": round(total.seconds, 3),
            }
            self.run.append("metrics.jsonl", [record])
            self.since_log = Progress()

    def _bits_and_characters(self, progress: Progress) -> tuple[float, float]:
        """Bits per character of a stretch of steps, and how many characters it read."""
        characters = progress.tokens * self.characters_per_token
        return progress.nats / math.log(2) / max(1.0, characters), characters

    def evaluate(self, state: TrainState, step: int) -> None:
        """Evaluate, sample, save, and keep the best."""
        evaluation, samples = self._look(state)
        report = self._report(step, evaluation, samples)
        bits = None if evaluation is None else evaluation.bits_per_character
        if self.run is not None:
            if evaluation is not None:
                record = {"held_out_" + name: value for name, value in evaluation._asdict().items()}
                self.run.append("metrics.jsonl", [{"step": step, "epoch": round(report.epoch, 4), **record}])
            self.run.append("samples.jsonl", [{"step": step, **dataclasses.asdict(sample)} for sample in samples])
        self._save(state, step, bits)
        if bits is not None:
            self.held_out.append(bits)
            if self.best is None or bits < self.best[0]:
                self.best = bits, copy_tree(self.layout.local(state.best_params))
        self.observer.evaluated(report)

    def should_stop(self, state: TrainState, step: int) -> bool:
        """Save now and then, and when asked to stop."""
        if self.config.training.patience is not None and agree(self.out_of_patience):
            return True  # saved at the evaluation
        if jax.process_count() > 1 and step % log_interval(self.steps):
            return False  # to agree with the other processes costs more than a step
        stop = agree(self.observer.should_stop())
        if agree(stop or time.monotonic() - self.saved_at > SAVE_EVERY):
            self._save(state, step)
        return stop


def _beside_params(state: TrainState) -> dict[str, Any]:
    """What a run needs to go on, besides the parameters."""
    beside = {"opt_state": state.opt_state, "carry": state.carry}
    # What is kept as the model is the average; then the parameters themselves are beside it.
    return beside if state.average is None else {**beside, "params": state.params}
