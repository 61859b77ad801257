"""``flaxchar train``: begin or continue a run, and report what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from flaxchar.commands import process
from flaxchar.commands.ending import report_ending, seconds_after_training
from flaxchar.commands.options import DebugOptions, parse, with_absolute_paths
from flaxchar.commands.output import announce_stdin
from flaxchar.config import InputError, missing_extra
from flaxchar.presets import SIZED_PRESETS, resolve
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.commands.views import CurvesView, TensorBoardView
    from flaxchar.data.cache import EncodedCorpus
    from flaxchar.training.run_directory import Run

# Runs that are named beside a folder without one.
_SHOWN_RUNS = 5
_MACHINES = "This machine, or several"


@dataclasses.dataclass(frozen=True)
class TrainOptions(DebugOptions):
    """Train a language model on texts and see what it writes. In a folder that holds a run, continue that run."""

    HEADING: ClassVar = "Run"

    workdir: str = setting(
        "runs", "Run directory, for settings, vocabulary, metrics, samples and checkpoints.", metavar="DIR"
    )
    preset: Literal["default", "fast", "best", "classifier", "reference"] | None = setting(
        None,
        "Settings to start with. default (2 minutes), fast (1 minute) and best (30 minutes) are chosen by the size and "
        "kind of the corpus; classifier is for --head classifier; reference is the Keras notebook's LSTM(128). Your "
        "own settings come first.",
    )
    fresh: bool = setting(False, "Begin a new run; one that is in the folder is renamed, never deleted.", switch=True)
    tensorboard: bool = setting(
        False, "Write losses, samples and histograms of the gates for TensorBoard into the run directory.", switch=True
    )
    devices: int | None = setting(
        None,
        "Devices to train on, in each process. Without it: every GPU or TPU, or the CPU as one device.",
        least=1,
        heading=_MACHINES,
    )
    model_shards: int = setting(
        1, "Devices that share one model, for a model too large for one of them.", least=1, heading=_MACHINES
    )
    distributed: bool = setting(
        False,
        "Join the other processes of this Slurm, Kubernetes or Open MPI job, or of this TPU pod.",
        heading=_MACHINES,
        switch=True,
    )
    coordinator: str | None = setting(
        None, "Join other processes: HOST:PORT of the first one.", metavar="ADDRESS", heading=_MACHINES
    )
    processes: int | None = setting(
        None, "With --coordinator: how many processes there are.", least=1, heading=_MACHINES
    )
    process_id: int | None = setting(
        None, "With --coordinator: which of them this is, from 0.", least=0, heading=_MACHINES
    )


def train(arguments: Sequence[str]) -> int:
    """Run ``flaxchar train`` and return the exit status."""
    options, settings, _ = parse(TrainOptions, "train", arguments, with_settings=True)
    settings = with_absolute_paths(settings)
    path, job = Path(options.workdir), _job(options)
    if options.tensorboard:
        _check_tensorboard()
    process.set_up(options.devices)
    if job is not None:
        process.join(job)
        process.start_kernel(options.devices)  # here, because agreeing on anything makes JAX look for devices

    from flaxchar.training.devices import leads, make_layout
    from flaxchar.training.initial import known_tokens, with_network
    from flaxchar.training.same_run import missing_file

    run = _saved_run(path, options.fresh, together=job is not None)
    # A time budget alone asks for more time; a whole command may simply be given once more.
    more_time = set(settings) == {"time_budget"} and options.preset is None
    beside = [] if settings or options.preset or run is not None else _runs_beside(path)
    given, settings = frozenset(settings), with_network(settings, run)
    saved = None if run is None else run.config
    config = resolve(settings, options.preset, saved)
    by_corpus = (options.preset or (SIZED_PRESETS[0] if run is None else None)) in SIZED_PRESETS
    if run is not None and not by_corpus:
        run.check_settings(config, options.preset, given)
    config.validate()
    if (missing := missing_file(config)) is not None:
        name, file = missing
        raise InputError(
            f"{file}, which the run in {path} learns from, is not there any more; if it has moved, say where it is now "
            f"with `{name}`: a run knows its texts by their content"
            if run is not None and name not in given
            else f"there is no file {file}"
        )
    if job is None:
        process.start_kernel(options.devices)
    layout = make_layout(config.training, options.devices, options.model_shards)

    from flaxchar.commands.terminal import ConsoleObserver
    from flaxchar.data.cache import load_encoded
    from flaxchar.training.reporting import Observers
    from flaxchar.training.session import train_corpus

    announce_stdin([*config.data.data, *config.data.val_data])
    corpus, config = load_encoded(config, None if run is None else run.vocabulary, known_tokens(config, run))
    facts = corpus.facts(config.data)
    config = resolve(settings, options.preset, saved, facts)
    config.validate()
    if run is not None:
        run.check_settings(config, options.preset, given)
    observer = ConsoleObserver(corpus.floor, not leads(), "text" if corpus.vocabulary.classifies else "char")
    if beside:
        observer.prepared([f"there is no run in {path}: this begins a new one (runs beside it: {', '.join(beside)})"])
    observer.prepared(list(corpus.report))
    with contextlib.ExitStack() as stack:
        views = _views(path, corpus, options.tensorboard) if leads() else []
        for view in views:
            stack.callback(view.close)
        with contextlib.closing(observer):
            reserved = seconds_after_training(corpus, config, run)
            observers = Observers([observer, *views])
            train_corpus(corpus, config, path, observers, process.STARTED, options.fresh, layout, reserved, more_time)
        return report_ending(path, corpus, observer) if leads() else 0


def _check_tensorboard() -> None:
    """Check that the extra for ``--tensorboard`` is installed, before anything that takes time.

    Raises:
      InputError: it is not.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise missing_extra("`tensorboard`", "tensorboardX", "tensorboard")


def _views(path: Path, corpus: EncodedCorpus, tensorboard: bool) -> list[CurvesView | TensorBoardView]:
    """What shows the run besides the lines that are printed."""
    from flaxchar.commands import painter
    from flaxchar.commands.views import CurvesView, TensorBoardView

    unit = "text" if corpus.vocabulary.classifies else "character"
    views: list[CurvesView | TensorBoardView] = [TensorBoardView(path, corpus)] if tensorboard else []
    return [*views, CurvesView(path, corpus.floor, unit)] if painter.wanted() else views


def _job(options: TrainOptions) -> process.Job | None:
    """The job of several processes that this one belongs to; None if it trains alone."""
    job = process.Job(options.coordinator, options.processes, options.process_id)
    if 0 < job.count(None) < len(job):
        raise InputError("`coordinator`, `processes` and `process_id` go together; give all three")
    return job if options.distributed or options.coordinator is not None else None


def _runs_beside(path: Path) -> list[str]:
    """Names of runs in the folder of a path where there is none: the path may be mistyped."""
    from flaxchar.training.run_directory import Run

    folder = path.absolute().parent
    others = sorted(entry.name for entry in folder.iterdir() if Run.exists(entry)) if folder.is_dir() else []
    return others if len(others) <= _SHOWN_RUNS else [*others[:_SHOWN_RUNS], "…"]


def _saved_run(path: Path, fresh: bool, together: bool) -> Run | None:
    """The run in a folder that is to be continued; None if a new one begins.

    Raises:
      InputError: the folder holds something else.
    """
    from flaxchar.training.devices import agree
    from flaxchar.training.folders import check_free
    from flaxchar.training.run_directory import Run

    continued = Run.exists(path) and not fresh
    if agree(continued) if together else continued:  # the first process may have begun the run before this one looked
        return Run.open(path)
    if not Run.exists(path):
        check_free(path)
    return None
