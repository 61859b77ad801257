"""Results of ``flaxchar compare``: a record per combination, a table, a JSON file and a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from flaxchar.storage import replace_file


class Outcome(NamedTuple):
    """The result of one combination of settings.

    Attributes:
      settings: the combination.
      parameters: how many parameters the model has.
      steps: steps at the best evaluation.
      seconds: seconds of training until then.
      held_out: bits per character of the held-out texts at the best evaluation.
      training: bits per character of the training texts about then, with dropout if there is any.
      curve: step, seconds and held-out bits per character of each evaluation.
      failure: why the run failed, or None.
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
        """The combination in a word, which is also the name of its folder: ``cell=gru_hidden=64``."""
        return "_".join(f"{name}={value}" for name, value in self.settings.items()) or "model"


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The outcomes as lines of a Markdown table, the best first."""
    names = [name.replace("_", " ") for name in outcomes[0].settings]
    header = [*names, "parameters", "steps", "seconds", "held-out", "training"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.failure is not None, outcome.held_out)):
        figures = [f"{outcome.parameters:,}", f"{outcome.steps:,}", f"{outcome.seconds:.0f}"]
        figures += [f"{outcome.held_out:.4f}", f"{outcome.training:.4f}"]
        if outcome.failure is not None:
            figures = ["", "", "", outcome.failure, ""]
        lines.append("| " + " | ".join([*map(str, outcome.settings.values()), *figures]) + " |")
    return lines


def write_report(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write ``compare.md``, ``compare.json`` and ``compare.png`` of the outcomes so far.

    ``compare.md`` links to the reports that ``flaxchar report`` has written.
    """
    text = [
        "Bits per character of the held-out texts at the best evaluation, and of the training texts about then; steps "
        "and seconds of training until then.",
        "",
        *table(outcomes),
    ]
    reports = [
        f"[{outcome.name}]({quote(outcome.name)}/report.html)"
        for outcome in outcomes
        if (folder / outcome.name / "report.html").is_file()
    ]
    if reports:
        text += ["", f"Reports: {', '.join(reports)}."]
    replace_file(folder / "compare.md", "\n".join(text) + "\n")
    # JSON has no NaN: the results of a run that failed are null.
    records = [
        {name: None if value != value else value for name, value in outcome._asdict().items()}  # noqa: PLR0124
        for outcome in outcomes
    ]
    replace_file(folder / "compare.json", json.dumps(records, indent=1, allow_nan=False) + "\n")
    replace_file(folder / "compare.png", draw([outcome for outcome in outcomes if outcome.failure is None]))


def draw(outcomes: Sequence[Outcome]) -> bytes:
    """A PNG picture: bits per character against the number of parameters, steps and seconds."""
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
    by_size.set(xlabel="parameters", ylabel="bits per character", title="held-out (filled) and training (hollow)")
    by_steps.set(xlabel="steps", title="held-out")
    by_seconds.set(xlabel="seconds of training", title="held-out")
    if outcomes:
        names = ", ".join(outcomes[0].settings).replace("_", " ")
        figure.legend(title=names, loc="outside right upper", fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    plt.close(figure)
    return picture.getvalue()
