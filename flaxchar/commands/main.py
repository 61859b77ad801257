"""The command line: flags in, words out; ``train`` is here, the other commands in files of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import tyro

from flaxchar.commands import process
from flaxchar.config import LENGTHS, Config, InputError
from flaxchar.presets import PRESETS, SIZED_PRESETS

if TYPE_CHECKING:
    from flaxchar.commands.terminal import ConsoleObserver
    from flaxchar.data.cache import EncodedCorpus
    from flaxchar.language_model import LanguageModel

# A time budget counts from here: nothing slow has been imported yet.
_STARTED = time.monotonic()

SUMMARIES = {
    "train": "train a language model on texts and see what it writes",
    "sample": "write text with a trained model",
    "score": "how surprising texts are to a model: bits per character",
    "classify": "name the class of texts, by a model trained with --label-field",
    "compress": "make a text as small as a model says",
    "decompress": "restore it",
    "compare": "train a grid of settings on the same texts and see which is best",
    "novelty": "how much of what a model writes stands in the texts it learned from",
}

Options = TypeVar("Options")
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Train a language model on texts and see what it writes. On a folder that holds a run, go on with that run."""

    workdir: str = "runs"
    """The run directory: settings, vocabulary, metrics, samples and checkpoints."""
    preset: Literal["default", "fast", "best", "classifier", "reference"] | None = None
    """Settings to begin with. default, fast (a minute) and best (half an hour) depend on the size and kind of the
    corpus, whatever is said below; classifier is for --head classifier; reference is the Keras notebook's LSTM(128)."""
    fresh: Switch = False
    """Begin a new run; one that is there already is renamed, never deleted."""
    devices: int | None = None
    """Devices to train on, in each process; left open: every GPU or TPU, or one CPU."""
    model_shards: int = 1
    """Devices that share one model, each with a part of its hidden units: for models too large for one."""
    distributed: Switch = False
    """Join the other processes of this Slurm, Kubernetes or Open MPI job, or TPU pod."""
    coordinator: str | None = None
    """Join other processes: the first one's HOST:PORT."""
    processes: int | None = None
    """With --coordinator: how many processes there are."""
    process_id: int | None = None
    """With --coordinator: which of them this is, from 0."""
    debug: Switch = False
    """Show where an error came from."""
    config: Config = dataclasses.field(default_factory=Config)
    """All other settings."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for bad usage or input, 1 for a failure of the work."""
    process.collect_seldom()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    name = arguments[0] if arguments else ""
    if name not in SUMMARIES:
        asked = name in ("-h", "--help")
        listed = "".join(f"  {name:<10}  {summary}\n" for name, summary in SUMMARIES.items())
        print(
            f"usage: flaxchar {{{','.join(SUMMARIES)}}} [OPTIONS]\n\n{listed}\n"
            "flaxchar COMMAND --help tells the options.",
            file=sys.stdout if asked else sys.stderr,
        )
        return 0 if asked else 2
    try:
        return _command(name)(arguments[1:])
    except InputError as error:
        return _fail(str(error), 2, arguments)
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("flaxchar: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return _fail(f"{type(error).__name__}: {reason} (--debug shows where)", 1, arguments)


def _command(name: str) -> Callable[[Sequence[str]], int]:
    """The function of a command; each module is imported only when it is needed."""
    if name == "train":
        return train_command
    module = {"sample": "sample", "novelty": "sample", "compare": "compare"}.get(name, "read")
    return getattr(importlib.import_module(f"flaxchar.commands.{module}"), f"{name}_command")


def _fail(message: str, status: int, arguments: Sequence[str]) -> int:
    """Print an error as one sentence; re-raise it with ``--debug``. Called while it is handled."""
    if "--debug" in arguments:
        raise  # noqa: PLE0704
    print(f"flaxchar: {message}", file=sys.stderr)
    return status


def parse(kind: type[Options], prog: str, arguments: Sequence[str], default: Options) -> Options:
    """Options from flags; what is not given is as in ``default``.

    Raises:
      InputError: a flag or its value cannot be understood.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, prog=prog, args=list(arguments), default=default, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as exit:
        if not exit.code:
            raise
        # tyro draws a box over several lines; the words up to its rule are the sentence.
        lines = [line.strip("│╭╮╰╯ ") for line in complaint.getvalue().splitlines()[1:]]
        rule = next((number for number, line in enumerate(lines) if set(line) <= {"─"}), len(lines))
        words = " ".join(lines[:rule]).rstrip(".")
        raise InputError(f"{words[:1].lower()}{words[1:]}; {prog} --help tells the options") from None


def load_model(workdir: str) -> LanguageModel:
    """The model of a run directory, in a process made ready for it."""
    process.prepare()
    from flaxchar.language_model import load

    return load(workdir)


def train_command(arguments: Sequence[str]) -> int:
    """``flaxchar train``."""
    prog = "flaxchar train"
    options = parse(TrainOptions, prog, arguments, TrainOptions())
    path = Path(options.workdir)
    together = (options.coordinator, options.processes, options.process_id)
    if 0 < together.count(None) < 3:
        raise InputError("--coordinator, --processes and --process-id go together; give all three")
    process.prepare(options.devices, together if options.distributed or options.coordinator is not None else None)

    from flaxchar.training.devices import agree, leads, make_layout
    from flaxchar.training.run_directory import Run, check_free

    going_on = agree(Run.exists(path) and not options.fresh)
    saved = None
    if going_on:
        run = Run.open(path)
        saved = run.config
    elif not Run.exists(path):
        check_free(path)
    preset = options.preset or ("default" if saved is None else "")  # a run that is gone on with has its settings
    config = _settings(prog, arguments, options, preset, saved)
    sized = preset in SIZED_PRESETS
    if saved is not None and not sized:
        run.check_settings(config)
    config.validate()
    layout = make_layout(config.training, options.devices, options.model_shards)

    from flaxchar.commands.terminal import ConsoleObserver
    from flaxchar.data.cache import load_encoded
    from flaxchar.training.session import train_corpus

    corpus, config = load_encoded(config)
    if sized:
        settled = config.data
        base = corpus.preset(preset, settled.running)
        config = dataclasses.replace(with_base(prog, arguments, base), data=settled)
        config.validate()
        if saved is not None:
            run.check_settings(config)
    per: Literal["character", "text"] = "text" if corpus.vocabulary.classifies else "character"
    observer = ConsoleObserver(corpus.floor, not leads(), per)
    observer.prepared(list(corpus.report))
    try:
        train_corpus(corpus, config, path, observer, _STARTED, options.fresh, layout)
    finally:
        observer.close()
    return _conclude(path, corpus, observer) if leads() else 0


def _conclude(path: Path, corpus: EncodedCorpus, observer: ConsoleObserver) -> int:
    from flaxchar.training.run_directory import Run

    run = Run.open(path)
    best, last, steps, floor = run.best(), run.last_step(), run.steps, corpus.floor
    run.close()
    where = shlex.quote(str(path))
    if observer.interrupted is not None and (last or 0) < steps:
        print(
            f"stopped by {observer.interrupted.name} after step {last:,} of {steps:,}, saved in {path}; "
            f"to go on: python train.py --workdir {where}"
        )
        return 128 + observer.interrupted
    if (last or 0) < steps:
        print(f"stopped early, after step {last:,} of {steps:,}: --patience {run.config.training.patience} evaluations")
    if corpus.vocabulary.classifies:
        if best is not None and best[1] is not None:
            print(f"best: {best[1]:.4f} bits per text on the held-out texts, after step {best[0]:,}; in {path}")
        print(f"to name classes: flaxchar classify FILE --workdir {where}")
        return 0
    if best is not None and best[1] is not None:
        line = f"best: {best[1]:.4f} bits per character on the held-out texts, after step {best[0]:,}; in {path}"
        if floor is not None:
            line += f"\n      {best[1] / floor - 1:.1%} above the exact entropy, {floor:.4f}, which no model can beat"
        print(line, flush=True)
        from flaxchar.analysis.baselines import baselines

        print("bits per character of the same texts:")
        table = run.baselines(lambda: baselines(corpus, run.config.data.bos))
        rows = [*table.items(), ("this model", best[1])]
        if corpus.held_out.source_end is not None and len(corpus.held_out) > 1:
            rows.append(("this model, after the source of another text", _exchanged_bits(path, corpus)))
        for name, bits in rows:
            print(f"  {bits:7.4f}  {name}")
    else:
        print(f"done after step {last:,}; in {path}")
    label = f" --label {shlex.quote(corpus.vocabulary.labels[0])}" if corpus.vocabulary.labels else ""
    print(f"to write more: python sample.py --workdir {where} --temperature 0.8{label}")
    return 0


def _exchanged_bits(path: Path, corpus: EncodedCorpus) -> float:
    """Bits per character of the held-out texts, each after the source of another: what a source is worth."""
    from flaxchar.language_model import load
    from flaxchar.models.evaluation import evaluate

    lm, texts = load(path), corpus.held_out.exchanged()
    result = evaluate(lm.model, lm.params, texts, corpus.held_out_characters, lm.vocabulary.eos, lm.config.data.bos)
    return result.bits_per_character


def _settings(prog: str, arguments: Sequence[str], options: TrainOptions, preset: str, saved: Config | None) -> Config:
    """The configuration by the flags; what they leave open is as in a run that is gone on with."""
    if saved is not None and not preset:
        return absolute(parse(TrainOptions, prog, arguments, TrainOptions(config=saved)).config)
    # Of a preset that depends on the corpus, what it says of the corpus does not.
    config = absolute(with_base(prog, arguments, PRESETS[preset]) if preset in PRESETS else options.config)
    if saved is None:
        return config
    if config.data.dataset is None and not config.data.data:  # left open then as now
        config = config.replace(dataset=saved.data.dataset)
    if config.data.window is None:
        config = config.replace(window=saved.data.window)
    return config if config.data.before_field is None else config.replace(bos=False)


def with_base(prog: str, arguments: Sequence[str], base: Config) -> Config:
    """The configuration of a new run: some settings, changed by the flags.

    How long the run is by these settings counts only where no flag says that.
    """
    config = parse(TrainOptions, prog, arguments, TrainOptions(config=base.without_length())).config
    if all(getattr(config.training, name) is None for name in LENGTHS):
        config = config.replace(**{name: getattr(base.training, name) for name in LENGTHS})
    return config


def absolute(config: Config) -> Config:
    """The same files wherever the run is gone on with."""
    data = config.data

    def absolute(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name == "-" else os.path.abspath(name) for name in names)

    return config.replace(data=absolute(data.data), val_data=absolute(data.val_data))
