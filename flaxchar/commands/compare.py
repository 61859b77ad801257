"""``flaxchar compare``: train a grid of settings on the same texts and rank the results."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flaxchar.commands import process
from flaxchar.commands.comparison import Outcome, table, write_report
from flaxchar.commands.flags import as_flags
from flaxchar.commands.options import DebugOptions, parse, with_absolute_paths
from flaxchar.commands.output import announce_stdin, print_line, printable
from flaxchar.config import Config, InputError, TrainingDiverged
from flaxchar.presets import resolve
from flaxchar.settings import LENGTHS
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.data.cache import EncodedCorpus
    from flaxchar.training.devices import Layout

# Settings that may be given several values.
GRID = (
    *("cell", "hidden", "embedding", "layers", "dropout", "recurrent_dropout"),
    *("learning_rate", "optimizer", "batch_size", "seed"),
)


@dataclasses.dataclass(frozen=True)
class CompareOptions(DebugOptions):
    """Train a model for every combination of some settings and rank the results.

    These may be given several values: `cell`, `hidden`, `embedding`, `layers`, `dropout`, `recurrent_dropout`,
    `learning_rate`, `optimizer`, `batch_size`, `seed`. Each model is trained for `time_budget`, `steps` or `epochs`, in
    a folder of its own. compare.md, compare.json and compare.png show the results. The same command again continues
    where it was interrupted.
    """

    HEADING: ClassVar = "Run"

    workdir: str = setting("runs/compare", "Folder of the runs and of the comparison.", metavar="DIR")
    preset: Literal["default", "classifier", "reference"] | None = setting(
        None, "Settings to start with; as for train. (fast and best are themselves results of comparisons.)"
    )
    devices: int | None = setting(
        None, "Devices to train on. Without it: every GPU or TPU, or the CPU as one device.", least=1
    )


def compare(arguments: Sequence[str]) -> int:
    """Run ``flaxchar compare`` and return the exit status."""
    options, settings, _ = parse(CompareOptions, "compare", arguments, with_settings=True, several=GRID)
    settings = with_absolute_paths(settings)
    grid = {name: tuple(dict.fromkeys(settings.pop(name))) for name in GRID if name in settings}
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for combination in combinations:
        resolve({**settings, **combination}, options.preset).validate()
    folder = Path(options.workdir)
    if not next(parent for parent in (folder, *folder.absolute().parents) if parent.exists()).is_dir():
        raise InputError(f"`workdir` is {folder}, which is a file or lies within one; name a folder")
    process.prepare(options.devices)

    from flaxchar.data.cache import load_encoded
    from flaxchar.training.devices import make_layout

    if settings.get("init_from") is not None:
        raise InputError("a comparison trains every network from random weights; leave out `init_from`")
    config = resolve(settings, options.preset)
    announce_stdin([*config.data.data, *config.data.val_data])
    corpus, config = load_encoded(config)
    if not len(corpus.held_out):
        raise InputError("nothing is held out to compare by; see `val_fraction` and `val_data`")
    facts = corpus.facts(config.data)
    configs = [resolve({**settings, **combination}, options.preset, corpus=facts) for combination in combinations]
    layouts = [make_layout(config.training, options.devices) for config in configs]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`workdir` is {folder}, where no folder can be made: {error.strerror}") from error
    for line in corpus.report:
        print_line(as_flags(line))
    outcomes: list[Outcome] = []
    started = process.STARTED  # the first run's time budget counts from the start of the command
    for combination, config, layout in zip(combinations, configs, layouts, strict=True):
        try:
            outcome = _train(Outcome(combination), config, folder, corpus, started, layout)
        except KeyboardInterrupt:
            number = f"{len(outcomes) + 1} of {len(combinations)}"
            print_line(f"stopped in model {number}, {Outcome(combination).name}; the same command goes on with it")
            raise
        outcomes.append(outcome)
        result = outcome.failure or f"held-out {outcome.held_out:.4f} bits/char after {outcome.seconds:.0f} s"
        print_line(f"{outcome.name}: {result}")
        if _has_results(outcomes):
            write_report(folder, outcomes)
        started = time.monotonic()
    for line in table(outcomes):
        print_line(line)
    if _has_results(outcomes):
        print_line(f"written to {folder}: compare.md, compare.json, compare.png")
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def _has_results(outcomes: Sequence[Outcome]) -> bool:
    """Whether any combination was trained: failures alone do not replace an earlier report."""
    return any(outcome.failure is None for outcome in outcomes)


def _train(
    outcome: Outcome, config: Config, folder: Path, corpus: EncodedCorpus, started: float, layout: Layout
) -> Outcome:
    """Train one combination, or continue it, or read its results if it is complete. A failure ends only this one."""
    import jax

    from flaxchar.models.charlm import count_params
    from flaxchar.training.session import train_corpus

    path = folder / outcome.name
    try:
        _check_length(path, config)
        trained = train_corpus(corpus, config, path, started=started, layout=layout)
    except (InputError, TrainingDiverged) as error:
        return outcome._replace(failure=as_flags(str(error)))
    except Exception as error:
        print(printable(f"{outcome.name} failed: {error}"), file=sys.stderr)
        return outcome._replace(failure=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    finally:
        jax.clear_caches()  # no combination uses the programs of another; together they would fill the memory
    return _read_metrics(outcome._replace(parameters=count_params(trained.params)), path)


def _check_length(path: Path, config: Config) -> None:
    """Check that a run which is continued was begun with the same length: results of others cannot be compared.

    Raises:
      InputError: it was begun with another length.
    """
    from flaxchar.training.run_directory import Run
    from flaxchar.training.same_run import list_changes

    if not Run.exists(path):
        return
    run = Run.open(path)
    run.close()
    if changes := [change for change in run.config.differences(config) if change[0] in LENGTHS]:
        raise InputError(
            f"the run in {path} was begun with other settings: {list_changes(changes)}; name another `workdir`"
        )


def _read_metrics(outcome: Outcome, path: Path) -> Outcome:
    """Fill in the results that a run wrote to ``metrics.jsonl``."""
    curve: list[tuple[int, float, float]] = []
    seconds, training, training_at_best = 0.0, float("nan"), float("nan")
    best: tuple[int, float, float] | None = None
    for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        seconds += record.get("seconds", 0.0)
        training = record.get("bits_per_character", training)
        if (bits := record.get("held_out_bits_per_character")) is not None and math.isfinite(bits):
            curve.append((record["step"], round(seconds, 2), bits))
            if best is None or bits < best[2]:
                best, training_at_best = curve[-1], training
    assert best is not None, "texts are held out, so a run that has not diverged has a finite evaluation"
    steps, seconds, held_out = best
    return outcome._replace(
        steps=steps, seconds=seconds, held_out=held_out, training=training_at_best, curve=tuple(curve)
    )
