"""``flaxchar compare``: the same texts, a grid of settings, and what came of each."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flaxchar.commands import process
from flaxchar.commands.main import TrainOptions, absolute, parse, with_base
from flaxchar.config import Config, InputError, flag
from flaxchar.presets import PRESETS

if TYPE_CHECKING:
    from flaxchar.data.cache import EncodedCorpus

# Settings that may be given several values, and what a value is.
GRID = {
    "cell": str,
    "hidden": int,
    "embedding": int,
    "layers": int,
    "dropout": float,
    "recurrent_dropout": float,
    "learning_rate": float,
    "optimizer": str,
    "batch_size": int,
    "seed": int,
}
_USAGE = f"""usage: flaxchar compare [FLAG VALUE …] … [OPTIONS OF TRAIN]

where FLAG is {", ".join(map(flag, GRID))}.

Trains a model for each combination of the values, for --time-budget (each), --steps or --epochs, each in a folder of
its own under --workdir, and writes compare.md, compare.json and compare.png there. The same command again goes on where
it was interrupted. flaxchar train --help tells the other options."""


class Outcome(NamedTuple):
    """What came of one combination.

    Attributes:
      settings: the combination.
      parameters: how many numbers the model has.
      steps: steps of the best evaluation.
      seconds: seconds of training until then.
      held_out: bits per character on the held-out texts, at best.
      training: bits per character on the texts learned, about then (with dropout, where there is some).
      curve: (step, seconds, held-out bits per character) of each evaluation.
      failure: what went wrong, or None.
    """

    settings: dict[str, Any]
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    held_out: float = float("nan")
    training: float = float("nan")
    curve: tuple[tuple[int, float, float], ...] = ()
    failure: str | None = None

    @property
    def name(self) -> str:
        """The combination in a word; also its folder."""
        return "_".join(f"{name}={value}" for name, value in self.settings.items()) or "model"


def split_grid(arguments: Sequence[str]) -> tuple[dict[str, list[Any]], list[str]]:
    """The values of the grid's flags, and all other arguments.

    Raises:
      InputError: a value is not of its kind, or there is none.
    """
    grid: dict[str, list[Any]] = {}
    rest, name = [], None
    for argument in arguments:
        if argument.startswith("--"):
            name = argument[2:].replace("-", "_")
            name = name if name in GRID else None
            if name is None:
                rest.append(argument)
            else:
                grid[name] = []
        elif name is None:
            rest.append(argument)
        else:
            try:
                grid[name].append(GRID[name](argument))
            except ValueError:
                raise InputError(f"{flag(name)} {argument}: not a number") from None
    for name, values in grid.items():
        if not values:
            raise InputError(f"{flag(name)} needs at least one value")
    return {name: list(dict.fromkeys(values)) for name, values in grid.items()}, rest


def compare_command(arguments: Sequence[str]) -> int:
    """``flaxchar compare``."""
    if {"-h", "--help"} & set(arguments):
        print(_USAGE)
        return 0
    started = time.monotonic()
    grid, rest = split_grid(arguments)
    options = parse(TrainOptions, "flaxchar compare", rest, TrainOptions(workdir="runs/compare"))
    preset = options.preset or "default"
    if preset in ("fast", "best"):
        raise InputError("fast and best are what came of comparing; compare begins from another --preset")
    base = absolute(with_base("flaxchar compare", rest, PRESETS.get(preset, Config())))
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for settings in combinations:
        base.replace(**settings).validate()
    process.prepare(options.devices)

    from flaxchar.data.cache import load_encoded

    folder = Path(options.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    corpus, settled = load_encoded(base)
    for line in corpus.report:
        print(line, flush=True)
    if not len(corpus.held_out):
        raise InputError("nothing is held out to compare by; see --val-fraction and --val-data")
    if preset not in PRESETS:
        sized = corpus.preset(preset, settled.data.running)
        base = with_base("flaxchar compare", rest, sized)
    outcomes: list[Outcome] = []
    for settings in combinations:
        # No setting of the grid is about the data.
        config = dataclasses.replace(base.replace(**settings), data=settled.data)
        outcome = _train(Outcome(settings), config, folder, corpus, started)
        outcomes.append(outcome)
        figures = outcome.failure or f"{outcome.held_out:.4f} bits per character after {outcome.seconds:.0f} s"
        print(f"{outcome.name}: {figures}", flush=True)
        write_report(folder, outcomes)
        started = time.monotonic()
    print("\n".join(table(outcomes)))
    print(f"in {folder}: compare.md, compare.json, compare.png")
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def _train(outcome: Outcome, config: Config, folder: Path, corpus: EncodedCorpus, started: float) -> Outcome:
    """Train, or go on, or do nothing where it is done; a failure is told and kept from the others."""
    import jax

    from flaxchar.models.charlm import count_params
    from flaxchar.training.session import train_corpus

    path = folder / outcome.name
    try:
        trained = train_corpus(corpus, config, path, started=started)
    except InputError as error:
        return outcome._replace(failure=str(error))
    except Exception as error:
        print(f"{outcome.name} failed: {error}", file=sys.stderr)
        return outcome._replace(failure=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    finally:
        jax.clear_caches()  # each combination compiles its own; kept, they would fill the memory
    curve, seconds, training, best = [], 0.0, float("nan"), None
    for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        seconds += record.get("seconds", 0.0)
        training = record.get("bits_per_character", training)
        if (bits := record.get("held_out_bits_per_character")) is not None:
            curve.append((record["step"], round(seconds, 2), bits))
            if best is None or bits < best[2]:
                best = (*curve[-1], training)
    assert best is not None
    return Outcome(outcome.settings, count_params(trained.params), best[0], best[1], best[2], best[3], tuple(curve))


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The outcomes as a Markdown table, the best first."""
    names = list(outcomes[0].settings)
    header = [*(name.replace("_", " ") for name in names), "parameters", "steps", "seconds", "held out", "training"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for outcome in sorted(outcomes, key=lambda o: (o.failure is not None, o.held_out)):
        figures = [f"{outcome.parameters:,}", f"{outcome.steps:,}", f"{outcome.seconds:.0f}"]
        figures += [f"{outcome.held_out:.4f}", f"{outcome.training:.4f}"]
        if outcome.failure is not None:
            figures = ["", "", "", outcome.failure, ""]
        lines.append("| " + " | ".join([*map(str, outcome.settings.values()), *figures]) + " |")
    return lines


def write_report(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """``compare.md``, ``compare.json`` and ``compare.png`` of what there is so far."""
    text = [
        "Bits per character on the held-out texts at the best evaluation, and on the texts learned about then; steps "
        "and seconds of training until then.",
        "",
        *table(outcomes),
    ]
    from flaxchar.storage import replace_file

    replace_file(folder / "compare.md", "\n".join(text) + "\n")
    records = [outcome._asdict() for outcome in outcomes]
    replace_file(folder / "compare.json", json.dumps(records, indent=1) + "\n")
    draw([outcome for outcome in outcomes if outcome.failure is None], folder / "compare.png")


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Held-out and training bits per character against parameters, and held-out ones against steps and seconds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (by_size, by_steps, by_seconds) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    colors = [plt.get_cmap("tab20")(k) for k in range(20)]
    for number, outcome in enumerate(outcomes):
        color = colors[number % len(colors)]
        label = ", ".join(map(str, outcome.settings.values())) or "model"
        by_size.plot([outcome.parameters] * 2, [outcome.training, outcome.held_out], color=color, linewidth=0.8)
        by_size.scatter(outcome.parameters, outcome.held_out, color=color)
        by_size.scatter(outcome.parameters, outcome.training, facecolors="none", edgecolors=color)
        steps, seconds, bits = zip(*outcome.curve, strict=True)
        by_steps.plot(steps, bits, color=color, marker=".", label=label)
        by_seconds.plot(seconds, bits, color=color, marker=".")
    by_size.set_xscale("log")
    by_size.set(xlabel="parameters", ylabel="bits per character", title="held out (filled) and training (hollow)")
    by_steps.set(xlabel="steps", title="held out")
    by_seconds.set(xlabel="seconds of training", title="held out")
    if outcomes:
        names = ", ".join(outcomes[0].settings).replace("_", " ")
        figure.legend(title=names, loc="outside right upper", fontsize="small")
    temporary = path.with_name(".compare.png")
    figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
    temporary.replace(path)
