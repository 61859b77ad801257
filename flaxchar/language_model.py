"""The library's front: train a language model on texts, write with it, score with it, save and load it."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from flaxchar.batches import TextBatches, WindowBatches
from flaxchar.config import (
    DEFAULT_TIME_BUDGET,
    DEFAULT_WORD_VOCABULARY,
    Config,
    InputError,
    TrainingConfig,
    parse_duration,
)
from flaxchar.generate import Sampling, generate, stream
from flaxchar.losses import Evaluation, evaluate, score_texts
from flaxchar.model import CharLM, Params, init_params
from flaxchar.runs import Run
from flaxchar.sources import Corpus, make_corpus
from flaxchar.training import (
    MOST_EVALUATIONS,
    CompiledStep,
    Progress,
    TrainState,
    copy_tree,
    fit,
    init_state,
    learning_rates,
    log_interval,
    make_optimizer,
    time_steps,
)
from flaxchar.vocabulary import EncodedTexts, Vocabulary

# A run saves itself at least this often, seconds.
SAVE_EVERY = 60.0
# The share of a time budget that measuring the speed of a step may take.
TIMING_SHARE = 0.01
SAMPLE_TEMPERATURE = 0.8


class LanguageModel:
    """A trained model: writes texts and scores them.

    Attributes:
      params: the parameters, a plain pytree of float32 arrays.
      vocabulary: text ↔ ids.
      config: all settings it was trained with.
      model: the Flax module: ``model.apply({"params": params}, ids)``.
    """

    def __init__(self, params: Params, vocabulary: Vocabulary, config: Config) -> None:
        """Use ``train`` or ``load``."""
        self.params, self.vocabulary, self.config = params, vocabulary, config
        self.model = CharLM(vocabulary.size, config.model)

    def generate(
        self,
        prompt: str = "",
        *,
        temperature: float = 0.8,
        num_samples: int = 1,
        top_k: int = 0,
        top_p: float = 1.0,
        size: int = 300,
        seed: int = 0,
        unknown: Literal["error", "drop"] = "error",
    ) -> list[str]:
        """Texts that begin with the prompt.

        Args:
          prompt: how they begin; without one they begin as the training texts do.
          temperature: below 1 for likelier texts, above for wilder ones; 0 for the most probable character each time.
          num_samples: how many.
          top_k: draw only among this many most probable characters; 0 for all.
          top_p: draw only among the most probable characters that together have this probability.
          size: the longest text, in characters (words where the unit is words), the prompt included.
          seed: the same seed gives the same texts, and text ``i`` whatever ``num_samples`` is.
          unknown: for characters of the prompt that the model has never seen: raise an error, or leave them out.

        Raises:
          InputError: an argument is out of its range, the prompt is longer than ``size``, or it holds the unknown.
        """
        prompt, ids = self._prompt(prompt, size, num_samples, unknown)
        sampling = Sampling(temperature, top_k, top_p)
        texts = generate(
            self.model, self.params, self.vocabulary, ids, num_samples, size, seed, sampling, self.config.data.bos
        )
        return [prompt + self.vocabulary.decode(text) for text in texts]

    def stream(
        self,
        prompt: str = "",
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        size: int = 300,
        seed: int = 0,
        sample: int = 0,
        unknown: Literal["error", "drop"] = "error",
    ) -> Iterator[str]:
        """Text number ``sample`` of ``generate`` in pieces as it is written, the prompt first; arguments as there."""
        prompt, ids = self._prompt(prompt, size, 1, unknown)
        sampling = Sampling(temperature, top_k, top_p)
        pieces = stream(
            self.model, self.params, self.vocabulary, ids, sample, size, seed, sampling, self.config.data.bos
        )
        yield prompt
        for piece in pieces:
            yield self.vocabulary.decode(piece)

    def _prompt(
        self, prompt: str, size: int, num_samples: int, unknown: Literal["error", "drop"]
    ) -> tuple[str, np.ndarray]:
        """The prompt as it will be read and its ids."""
        if num_samples < 1:
            raise InputError(f"--num-samples is {num_samples}; it must be 1 or more")
        if size < 1:
            raise InputError(f"--size is {size}; it must be 1 or more")
        ids = self.vocabulary.encode(prompt, unknown)
        if unknown == "drop":
            ids = ids[ids != self.vocabulary.unknown]
            prompt = self.vocabulary.decode(ids)
        if len(ids) > size:
            raise InputError(f"the prompt {prompt[:40]!r} is longer than --size {size}, which counts it")
        return prompt, ids

    def score(self, texts: Sequence[str]) -> list[float]:
        """Bits per character of each text: how surprising it is, ``<eos>`` counted as a character.

        Raises:
          InputError: a text holds something the vocabulary does not, or is empty where the first character does not
            count (``bos`` off).
        """
        texts = list(texts)
        bos = self.config.data.bos
        for text in texts:
            self.vocabulary.encode(text)
            if not text and not bos:
                raise InputError("an empty text has no score under a model trained with --no-bos")
        if not texts:
            return []
        encoded, _ = self.vocabulary.encode_texts(texts)
        nats = score_texts(self.model, self.params, encoded, self.vocabulary.eos, bos).nats
        counts = [_predicted_characters([text], self.vocabulary, bos) for text in texts]
        return [float(n) / math.log(2) / count for n, count in zip(nats, counts, strict=True)]

    def save(self, path: str | Path) -> None:
        """Save the model as a run directory of its own, for ``load`` and ``sample.py``.

        Raises:
          InputError: the folder holds something already, or cannot be written.
        """
        run = Run.create(Path(path), self.config, self.vocabulary, {}, steps=0)
        run.save(0, self.params)
        run.close()


def load(path: str | Path) -> LanguageModel:
    """The best model of a run directory.

    Raises:
      InputError: there is no run, or no checkpoint in it yet, or it is damaged.
    """
    run = Run.open(Path(path))
    try:
        best = run.best()
        if best is None:
            raise InputError(f"{path} holds no checkpoint yet: its training was stopped before the first was saved")
        template = jax.eval_shape(lambda: init_params(CharLM(run.vocabulary.size, run.config.model), jax.random.key(0)))
        params, _ = run.restore(best[0], template)
    finally:
        run.close()
    return LanguageModel(params, run.vocabulary, run.config)


def train(
    texts: Iterable[str],
    *,
    held_out: Iterable[str] | None = None,
    workdir: str | Path | None = None,
    config: Config | None = None,
    **settings: Any,
) -> LanguageModel:
    """Train a model on texts.

    Args:
      texts: any iterable of strings.
      held_out: texts to judge by; None to hold out ``val_fraction`` of ``texts``.
      workdir: keep the run in this folder, and go on with it where it was interrupted; None to keep nothing.
      config: settings to begin with; None for the defaults.
      **settings: changes to them, each by its flag's name: ``steps=500``, ``hidden=256``, ``time_budget="5m"``.

    Returns:
      The model of the best held-out bits per character (the last one where nothing is held out).

    Raises:
      InputError: a setting or a text cannot be used.
      TypeError: there is no setting of that name.
    """
    config = (config or Config()).replace(**settings)
    config.validate()
    corpus = make_corpus(texts, held_out, config.data, config.training.seed)
    return train_corpus(corpus, config, None if workdir is None else Path(workdir))


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
    corpus: Corpus,
    config: Config,
    path: Path | None = None,
    observer: Observer | None = None,
    started: float | None = None,
) -> LanguageModel:
    """Train a model on a corpus, going on with the run in ``path`` where there is one.

    Args:
      corpus: the texts.
      config: the settings, validated.
      path: the run directory; None to keep nothing.
      observer: told how it goes.
      started: ``time.monotonic()`` from which a time budget counts; None for now.

    Raises:
      InputError: the texts are not those the run in ``path`` was begun with, or a sample prompt cannot be encoded.
    """
    started = time.monotonic() if started is None else started
    session = _Session(corpus, config, observer or Observer())
    if path is None:
        session.steps = session.plan(started)
    elif Run.exists(path):
        session.resume(Run.open(path))
    else:
        steps = session.plan(started)
        session.begin(Run.create(path, config, session.vocabulary, session.texts_record(), steps))
    try:
        session.fit()
        return LanguageModel(session.best_params(), session.vocabulary, config)
    finally:
        if session.run is not None:
            session.run.close()


class _Session:
    """One process' share of a run: everything between the texts and the trained parameters. Implements ``Hooks``."""

    def __init__(self, corpus: Corpus, config: Config, observer: Observer) -> None:
        data, training = config.data, config.training
        self.corpus, self.config, self.observer = corpus, config, observer
        self.run: Run | None = None
        self.steps = 0
        self.best: tuple[float, Params] | None = None
        limit = DEFAULT_WORD_VOCABULARY if data.unit == "word" and data.max_vocab is None else data.max_vocab
        self.vocabulary = vocabulary = Vocabulary.build(corpus.train, data.unit, limit)
        encoded, _ = vocabulary.encode_texts(corpus.train)
        if data.window is None:
            self.batches: TextBatches | WindowBatches = TextBatches(
                encoded, training.batch_size, vocabulary.eos, data.bos, training.seed, training.buckets
            )
        else:
            self.batches = WindowBatches(encoded, training.batch_size, vocabulary.eos, data.window, data.bos)
        running = data.window is not None
        characters = _predicted_characters(corpus.train, vocabulary, data.bos, running)
        tokens = len(encoded.ids) + len(encoded) - (0 if data.bos else 1 if running else len(encoded))
        self.characters_per_token = characters / tokens
        self._hold_out(corpus.held_out, running)
        self.prompts = self._sample_prompts(training)

        self.model = CharLM(vocabulary.size, config.model)
        self.optimizer = make_optimizer(training)
        self.key = jax.random.key(training.seed)
        self.state = init_state(self.model, self.optimizer, self.batches.rows, jax.random.fold_in(self.key, 0))
        self.observer.prepared(self._describe())
        self.saved_at = time.monotonic()
        self.since_log = Progress()

    def _hold_out(self, texts: Sequence[str], running: bool) -> None:
        encoded, missing = self.vocabulary.encode_texts(texts)
        if (encoded.lengths == 0).any():
            texts = [text for text, length in zip(texts, encoded.lengths, strict=True) if length]
            encoded, missing = self.vocabulary.encode_texts(texts)
        self.held_out: EncodedTexts | None = encoded if texts else None
        self.held_out_missing = missing
        dropped = sum(len(token) * count for token, count in missing.items())
        self.held_out_characters = (
            _predicted_characters(texts, self.vocabulary, self.config.data.bos, running) - dropped if texts else 0
        )

    def _sample_prompts(self, training: TrainingConfig) -> list[tuple[str, np.ndarray]]:
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
        return CompiledStep(self.model, self.optimizer, self.state, self.batches, jax.random.fold_in(self.key, 1))

    def _describe(self) -> list[str]:
        data, vocabulary, batches = self.config.data, self.vocabulary, self.batches
        unit = "characters" if data.unit == "char" else "words"
        lines = [
            f"vocabulary: {vocabulary.size:,} ids ({len(vocabulary.tokens):,} {unit}, padding, <eos>"
            + (", an unknown token)" if vocabulary.has_unknown else ")")
        ]
        if missing := self.held_out_missing:
            shown = ", ".join(repr(token) for token, _ in missing.most_common(8))
            lines.append(
                f"the held-out texts hold {missing.total():,} {unit} that never occur in training, left out there: "
                + shown
            )
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        widths = ", ".join(map(str, batches.widths))
        shapes = "one shape" if len(batches.widths) == 1 else f"{len(batches.widths)} shapes"
        lines.append(
            f"model: {parameters:,} parameters; batches of {batches.rows} × {widths} {unit} ({shapes} to compile)"
        )
        return lines

    def texts_record(self) -> dict[str, Any]:
        """What ``config.json`` says of the texts."""
        return {
            "name": self.corpus.name,
            "learned": len(self.corpus.train),
            "held_out": len(self.corpus.held_out),
            "sha256": self.corpus.fingerprint(),
            "floor": self.corpus.floor,
        }

    def plan(self, started: float) -> int:
        """How many steps to take; a time budget is turned into steps by timing some on a copy of the state."""
        training = self.config.training
        if training.steps is not None:
            return training.steps
        if training.epochs is not None:
            return training.epochs * self.batches.steps_per_epoch
        budget = parse_duration(training.time_budget or DEFAULT_TIME_BUDGET)
        self._look(self.state)  # compiles
        begin = time.perf_counter()
        self._look(self.state)
        evaluations = MOST_EVALUATIONS * (time.perf_counter() - begin)
        per_step = time_steps(self.step, self.state, self.batches, TIMING_SHARE * budget)
        left = budget - (time.monotonic() - started) - evaluations
        return max(1, int(left / per_step))

    def begin(self, run: Run) -> None:
        """Start a new run."""
        self.run, self.steps = run, run.steps
        run.claim()

    def resume(self, run: Run) -> None:
        """Go on with a run from its last checkpoint."""
        if not run.record["texts"]:
            raise InputError(f"{run.path} holds a model that was saved by itself: there is no training to go on with")
        if run.record["texts"]["sha256"] != self.corpus.fingerprint():
            raise InputError(
                f"the texts have changed since the run in {run.path} was begun; bring them back, or begin anew with "
                "--fresh, which moves the old run aside"
            )
        last = run.last_step()
        if last is not None and last >= run.steps:
            self.run, self.steps = run, run.steps  # complete: only to be read
        else:
            self.begin(run)
        if last is None:
            return
        params, training = run.restore(last, self.state.params, self._training_state())
        step = jax.numpy.int32(last)
        self.state = TrainState(step, params, training["opt_state"], training["carry"])
        best = run.best()
        if best is not None and best[1] is not None:
            self.best = best[1], run.restore(best[0], params)[0]
        if last < run.steps:
            run.forget_after(last)

    def _training_state(self) -> dict[str, Any]:
        return {"opt_state": self.state.opt_state, "carry": self.state.carry}

    def fit(self) -> None:
        """Train to the end, or until the observer says stop."""
        if self.state.step >= self.steps:
            return
        step = self.step
        rates = learning_rates(self.config.training, self.steps)
        self.observer.planned(self._report(int(self.state.step)), self.batches.steps_per_epoch)
        self.state = fit(step, self.state, self.batches, rates, self)

    def best_params(self) -> Params:
        """The parameters that did best on the held-out texts, or the last ones."""
        return self.state.params if self.best is None else self.best[1]

    def _report(self, step: int, evaluation: Evaluation | None = None, samples: tuple[Sample, ...] = ()) -> Report:
        return Report(step, self.steps, step / self.batches.steps_per_epoch, evaluation, samples)

    def _look(self, state: TrainState) -> tuple[Evaluation | None, tuple[Sample, ...]]:
        """Evaluate, and write some samples."""
        data = self.config.data
        evaluation = None
        if self.held_out is not None:
            evaluation = evaluate(
                self.model,
                state.params,
                self.held_out,
                self.held_out_characters,
                self.vocabulary.eos,
                data.bos,
                data.window,
            )
        samples = []
        for prompt, ids in self.prompts:
            for temperature in (0.0, SAMPLE_TEMPERATURE):
                size = max(300, len(ids))
                (text,) = generate(
                    self.model,
                    state.params,
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
        if self.run is not None:
            training = {"opt_state": state.opt_state, "carry": state.carry}
            self.run.save(step, state.params, training, bits_per_character)
        self.saved_at = time.monotonic()

    def progressed(self, progress: Progress) -> None:
        """Record the training loss at fixed steps, and tell the observer."""
        characters = progress.tokens * self.characters_per_token
        bits = progress.nats / math.log(2) / max(1.0, characters)
        self.observer.progressed(progress, self.steps, bits, characters)
        total = self.since_log
        total.nats, total.tokens = total.nats + progress.nats, total.tokens + progress.tokens
        total.seconds += progress.seconds
        if self.run is not None and (progress.step % log_interval(self.steps) == 0 or progress.step == self.steps):
            record = {
                "step": progress.step,
                "epoch": round(progress.step / self.batches.steps_per_epoch, 4),
                "loss": total.nats / max(1, total.tokens),
                "bits_per_character": total.nats / math.log(2) / max(1.0, total.tokens * self.characters_per_token),
                "gradient_norm": progress.gradient_norm,
                "learning_rate": progress.learning_rate,
                "characters_per_second": round(total.tokens * self.characters_per_token / max(1e-9, total.seconds)),
            }
            self.run.append("metrics.jsonl", [record])
            self.since_log = Progress()

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
        if bits is not None and (self.best is None or bits < self.best[0]):
            self.best = bits, copy_tree(state.params)
        self.observer.evaluated(report)

    def should_stop(self, state: TrainState, step: int) -> bool:
        """Save now and then, and when asked to stop."""
        stop = self.observer.should_stop()
        if stop or time.monotonic() - self.saved_at > SAVE_EVERY:
            self._save(state, step)
        return stop


def _predicted_characters(texts: Sequence[str], vocabulary: Vocabulary, bos: bool, running: bool = False) -> int:
    """How many characters a model predicts of some texts, ``<eos>`` counted as one each.

    Without ``bos`` the first token of each text (of the first one only in running text) is given, not predicted.
    """
    total = sum(map(len, texts)) + len(texts)
    if not bos:
        total -= sum(len(vocabulary.first_token(text)) for text in (texts[:1] if running else texts))
    return total
