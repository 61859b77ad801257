"""The end of a training, on the terminal: the result beside its baselines, and what can be done with the model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flaxchar.commands import process
from flaxchar.commands.output import print_line
from flaxchar.config import Config
from flaxchar.validation import counted

if TYPE_CHECKING:
    from flaxchar.commands.terminal import ConsoleObserver
    from flaxchar.data.cache import EncodedCorpus
    from flaxchar.training.run_directory import Run


class _Ending(NamedTuple):
    """Where a run ended: the step and result of its best checkpoint, its last step, its planned steps, its settings."""

    best: tuple[int, float | None] | None
    last: int
    steps: int
    config: Config

    @property
    def result(self) -> tuple[int, float] | None:
        """Step and held-out bits of the best checkpoint, if texts were held out."""
        return None if self.best is None or self.best[1] is None else (self.best[0], self.best[1])


def seconds_after_training(corpus: EncodedCorpus, config: Config, run: Run | None) -> float:
    """Seconds of a time budget that are needed after training, for baselines and curves; 0 without a time budget."""
    training = config.training
    if training.steps is not None or training.epochs is not None:
        return 0.0
    from flaxchar.commands import painter

    ending = process.EXIT_SECONDS + painter.wanted() * painter.LAST_SECONDS
    if run is not None and run.has_baselines:
        return ending
    from flaxchar.analysis.baselines import baseline_seconds

    return ending + baseline_seconds(corpus, config.data.bos)


def report_ending(path: Path, corpus: EncodedCorpus, observer: ConsoleObserver) -> int:
    """Print how the run ended and what can be done with the model; return the exit status."""
    from flaxchar.training.run_directory import Run

    run = Run.open(path)
    ending = _Ending(run.checkpoints.best(), run.checkpoints.last_step() or 0, run.steps, run.config)
    run.close()
    folder = shlex.quote(str(path))
    if not observer.trained:
        print_line(
            f"the run is complete ({ending.last:,} steps); to train further: python train.py --workdir {folder} "
            f"--steps {2 * ending.last}, or --time-budget 10m"
        )
    if observer.skipped:
        print_line(f"{counted(observer.skipped, 'update')} skipped, because loss or gradient had exploded")
    if ending.last < ending.steps and observer.interrupted is not None:
        print_line(
            f"stopped by {observer.interrupted.name} at step {ending.last:,} of {ending.steps:,} and saved in {path}; "
            f"to continue: python train.py --workdir {folder}"
        )
        return 128 + observer.interrupted
    if ending.last < ending.steps:
        print_line(
            f"stopped early at step {ending.last:,} of {ending.steps:,}: "
            f"{counted(ending.config.training.patience or 0, 'evaluation')} without a better result (--patience)"
        )
    if corpus.vocabulary.classifies:
        _report_classifier(path, ending)
        print_line(f"to classify texts: flaxchar classify FILE --workdir {folder}")
        return 0
    _report_language_model(run, corpus, ending)
    given = f" --label {shlex.quote(corpus.vocabulary.labels[0])}" if corpus.vocabulary.labels else ""
    if corpus.vocabulary.source_end is not None:
        given += ' --source "A SOURCE"'
    print_line(f"to write more: python sample.py --workdir {folder} --temperature 0.8{given}")
    return 0


def _report_classifier(path: Path, ending: _Ending) -> None:
    if ending.result is not None:
        step, bits = ending.result
        print_line(f"best checkpoint: step {step:,}, held-out {bits:.4f} bits/text ({path})")


def _report_language_model(run: Run, corpus: EncodedCorpus, ending: _Ending) -> None:
    """Print the result of a language model beside its entropy floor and the baselines."""
    if ending.result is None:
        print_line(f"done at step {ending.last:,}; nothing was held out to evaluate on ({run.path})")
        return
    step, bits = ending.result
    print_line(f"best checkpoint: step {step:,}, held-out {bits:.4f} bits/char ({run.path})")
    unknown = corpus.held_out_unknown.describe("held-out ", corpus.vocabulary.unit, bits)
    if unknown:
        print_line(f"  {unknown}")
    if corpus.floor is not None:
        print_line(
            f"  {bits / corpus.floor - 1:.1%} above the entropy floor, {corpus.floor:.4f} bits/char, which no "
            "model can beat",
        )
    from flaxchar.analysis.baselines import baselines

    try:
        table = run.baselines(lambda: baselines(corpus, ending.config.data.bos))
    except KeyboardInterrupt:
        print_line(
            "the run is complete; only its baselines are missing, which the same command computes when it runs again"
        )
        raise
    print_line("bits/char of the same held-out texts:")
    for name, value in [*table.items(), ("this model", bits)]:
        print_line(f"  {value:7.4f}  {name}")
    if corpus.held_out.source_end is not None and len(corpus.held_out) > 1:
        print_line(f"  {_exchanged_bits(run.path, corpus):7.4f}  this model, given the source of another text")
    best, least = min(table.items(), key=lambda pair: pair[1], default=("", bits))
    if least < bits:
        print_line(f"{best} predicts these texts better than this model; longer training or more texts may help")


def _exchanged_bits(path: Path, corpus: EncodedCorpus) -> float:
    """Bits per character of the held-out texts, each given the source of another: shows what a source is worth."""
    from flaxchar.library import load
    from flaxchar.models.evaluation import evaluate

    lm, texts = load(path), corpus.held_out.exchanged()
    result = evaluate(
        lm.model,
        lm.params,
        texts,
        corpus.held_out_characters,
        lm.vocabulary.eos,
        lm.config.data.bos,
        spelling=corpus.held_out_unknown.nats,
    )
    return result.bits_per_character
