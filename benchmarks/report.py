"""Write the results of ``run.py``, ``results.json``, as a table and a picture: ``results.md`` and ``results.png``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# The goals: how many times as fast as each peer a training step should be, for PyTorch by hidden size.
TORCH_GOALS, KERAS_GOAL = {128: 1.5, 256: 1.5, 512: 1.2}, 8.0
TORCH_AIM = 2.0
PEAK_GOAL, QUALITY_GOAL, WRITE_GOAL, LOOP_GOAL = 0.5, 25.0, 2.0, 10_000.0


def ratio(values: list[float] | None) -> str:
    """The median and, in brackets, the least and the greatest."""
    if values is None:
        return ""
    median, least, greatest = (f"{x:,.0f}" if x >= 1000 else f"{x:.2f}" for x in values)
    return f"{median} ({least} to {greatest})"


def table(header: list[str], rows: list[list[object]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def verdict(reached: bool, goal: str) -> str:
    return f"{goal} {'reached' if reached else '**missed**'}"


def step_verdict(row: dict, peer: str, goal: float) -> str:
    """Whether a goal is reached; if not, the share of the matrix-product peak that it would take."""
    times = row[f"against_{peer}"][0]
    said = verdict(times >= goal, f"{goal:g}")
    return said if times >= goal else f"{said}, would take {row['share_of_peak'] * goal / times:.0%} of the peak"


def step_lines(rows: list[dict]) -> list[str]:
    half = sum(row["share_of_peak"] >= PEAK_GOAL for row in rows)
    twice = sum(row["against_torch"][0] >= TORCH_AIM for row in rows)
    lines = [
        "## Training step",
        "",
        "Thousand characters a second. A ratio says how many times as fast as the peer flaxchar is. The peak is the "
        "speed of the product of two 2048 × 2048 matrices in XLA. A step's share of it counts only the step's matrix "
        "products. A missed goal is followed by the share of the peak that it would take.",
        "",
        f"Aims: {PEAK_GOAL:.0%} of the peak, reached in {half} of {len(rows)} shapes; twice PyTorch's speed, "
        f"reached in {twice}.",
        "",
    ]
    body = []
    for row in rows:
        goal = TORCH_GOALS[row["hidden"]]
        body.append(
            [
                row["cell"].upper(),
                row["hidden"],
                row["layers"],
                f"{row['time']}{', ragged titles' if row['ragged'] else ''}",
                row["batch"],
            ]
            + [
                f"{row[key] / 1000:,.0f}" if (key := f"{side}_characters_per_second") in row else ""
                for side in ("flaxchar", "torch", "keras", "flax")
            ]
            + [f"{row['share_of_peak']:.0%}", ratio(row["against_torch"])]
            + [step_verdict(row, "torch", goal)]
            + (
                [ratio(row["against_keras"]), step_verdict(row, "keras", KERAS_GOAL)]
                if "against_keras" in row
                else ["", ""]
            )
            + [ratio(row.get("against_flax"))]
        )
    header = ["cell", "hidden", "layers", "time", "batch", "flaxchar", "PyTorch", "Keras", "Flax", "of the peak"]
    return lines + table([*header, "against PyTorch", "goal", "against Keras", "goal", "against Flax"], body)


def quality_lines(rows: list[dict]) -> list[str]:
    (row,) = rows
    first, warm = row["ratio_first_ever"], row["ratio"]
    epochs = ", ".join(f"{bits:.2f}" for bits in row["keras_bits_per_character_by_epoch"])
    return [
        "## Time to quality",
        "",
        f"Keras, without its imports, needs {row['keras_seconds']} s for four epochs of 7,000 titles (held-out: "
        f"{epochs} bits per character). flaxchar, from the start of the process, reaches "
        f"{row['flaxchar_bits_per_character']:.2f} in {ratio(row['flaxchar_seconds'])} s. Its first run takes "
        f"{row['flaxchar_seconds_first_ever']} s, because it compiles the kernel and all programs.",
        "",
        *table(
            ["", "times as fast", "goal"],
            [
                ["later runs", warm, verdict(row["reached"] and warm >= QUALITY_GOAL, "25")],
                ["first run", first, verdict(row["reached"] and first >= QUALITY_GOAL, "25")],
            ],
        ),
    ]


def sampling_lines(rows: list[dict]) -> list[str]:
    body = []
    for row in rows:
        goals = verdict(row["against_torch"][0] >= WRITE_GOAL, "2 × PyTorch")
        if "against_keras" in row:
            goals += "; " + verdict(row["against_keras"][0] >= LOOP_GOAL, "10,000 × Keras")
        sides = [
            f"{row[key]:,.0f}" if (key := f"{side}_characters_per_second") in row else ""
            for side in ("flaxchar", "torch", "keras")
        ]
        body.append([row["streams"], *sides, ratio(row["against_torch"]), ratio(row.get("against_keras")), goals])
    header = ["texts at once", "flaxchar", "PyTorch, keeping the state", "Keras, the notebook's loop"]
    lines = ["## Writing", "", "Characters a second, LSTM(128), temperature 0.8.", ""]
    return lines + table([*header, "against PyTorch", "against Keras", "goal"], body)


def startup_lines(rows: list[dict]) -> list[str]:
    body = [
        [row["what"], ratio(row["seconds"]), verdict(row["seconds"][0] < 3, "3") if row["what"] == "sample.py" else ""]
        for row in rows
    ]
    return ["## Start", "", "Seconds from the start of the process.", "", *table(["", "seconds", "goal"], body)]


def growth_lines(rows: list[dict]) -> list[str]:
    body = []
    for row in rows:
        goal = ""
        if row["megabytes"] == 1000:
            goal = verdict(row["first_seconds"] < 60, "60 s") + ", " + verdict(row["again_seconds"][0] < 5, "5 s")
            goal += ", " + verdict(row["first_peak_gigabytes"] < 1.5, "1.5 GB")
        first = [row["first_seconds"], row["first_peak_gigabytes"]]
        body.append([f"{row['megabytes']} MB", *first, ratio(row["again_seconds"]), row["again_peak_gigabytes"], goal])
    lines = ["## Growth", "", "Seconds to the end of the first training step, and peak memory of the process.", ""]
    return lines + table(["text", "first: s", "GB", "again: s", "GB", "goal"], body)


def draw(rows: list[dict], path: Path) -> None:
    """Draw the ratios to PyTorch: a panel of bars for each cell and hidden size, and one for ragged batches."""
    panels: dict[str, list[dict]] = {}
    for row in rows:
        goal = TORCH_GOALS[row["hidden"]]
        shape = "ragged titles" if row["ragged"] else f"hidden {row['hidden']}"
        panels.setdefault(f"{row['cell'].upper()}, {shape}: goal {goal}", []).append(row)
    figure, axes = plt.subplots(2, 4, figsize=(15, 9))
    for axis, (title, chosen) in zip(axes.flat, panels.items(), strict=False):
        keys = ("hidden", "layers", "time", "batch") if chosen[0]["ragged"] else ("layers", "time", "batch")
        names = [" × ".join(str(row[key]) for key in keys) for row in chosen]
        middle, least, greatest = zip(*(row["against_torch"] for row in chosen), strict=True)
        spread = [[m - low for m, low in zip(middle, least, strict=True)]]
        spread += [[high - m for m, high in zip(middle, greatest, strict=True)]]
        axis.bar(names, middle, yerr=spread, color="#4c78a8", ecolor="#999999", capsize=2)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.axhline(TORCH_GOALS[chosen[0]["hidden"]], color="#e45756", linestyle="--")
        axis.set_title(title)
        axis.set_xlabel(" × ".join(keys))
        axis.tick_params(axis="x", rotation=90)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("times as fast as PyTorch, a training step")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


SECTIONS = {
    "step": step_lines,
    "quality": quality_lines,
    "sampling": sampling_lines,
    "startup": startup_lines,
    "growth": growth_lines,
}


def main() -> None:
    folder = Path(sys.argv[1])
    results = json.loads((folder / "results.json").read_text())
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        "# Results",
        "",
        f"{machine['date']}; {machine['processor']}; Python {machine['python']}, {versions}; peers: "
        f"{', '.join(machine['peers'])}. Medians of {machine['rounds']} rounds, in which the sides take turns; "
        "the least and the greatest in brackets. Written by `python benchmarks/run.py`.",
        "",
    ]
    for name, section in SECTIONS.items():
        if name in results:
            lines += section(results[name])
    (folder / "results.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    if "step" in results:
        draw(results["step"], folder / "results.png")


if __name__ == "__main__":
    main()
