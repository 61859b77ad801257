"""Compare this version of flaxchar with another checkout: ``python benchmarks/versions.py OTHER_CHECKOUT``.

The two take turns in the same virtual environment, each in its own folder. A ratio is the other version's seconds
divided by this version's: above 1, this version is faster. Results are medians over the rounds, with the least and the
greatest. They go to ``results/versions.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from run import HERE, QUICK, ROOT, Worker, machine, ratio, spread, timed, titles

ROUNDS = 5


def in_turn(workers: list[Worker], task: dict, least: float = 0.2) -> list[list[float]]:
    """Seconds of a task in each version, one number a round."""
    once = [worker.ask(task=task) for worker in workers]
    times = max(1, round(least / min(once)))
    rounds = [[worker.ask(times=times) for worker in workers] for _ in range(ROUNDS)]
    return [list(seconds) for seconds in zip(*rounds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout of flaxchar, such as a git worktree")
    parser.add_argument("--titles", type=Path, help="AG News' test.csv: class, title, description")
    options = parser.parse_args()
    checkouts = [ROOT, options.other.resolve()]
    results = []

    def record(what: str, ours: list[float], theirs: list[float]) -> None:
        row = {"what": what, "seconds": spread(ours), "other_seconds": spread(theirs), "ratio": ratio(ours, theirs)}
        results.append(row)
        print(json.dumps(row), flush=True)
        everything = {
            "machine": machine() | {"rounds": ROUNDS},
            "other": revision(options.other),
            "this": revision(ROOT),
            "rows": results,
        }
        (HERE / "results" / "versions.json").write_text(json.dumps(everything, indent=1) + "\n")

    workers = [Worker("flaxchar", Path(sys.executable), checkout, PYTHONPATH=str(checkout)) for checkout in checkouts]
    for cell, hidden, batch in (
        *(("lstm", h, b) for h in (128, 256, 512) for b in (8, 32)),
        ("gru", 256, 32),
    ):
        task = {"kind": "step", "cell": cell, "hidden": hidden, "batch": batch, "layers": 1, "time": 64}
        record(f"step, {cell}, {hidden} units, batch {batch}", *in_turn(workers, task))
    for streams in (1, 16, 512):
        task = {"kind": "write", "streams": streams, "hidden": 128, "size": 2000 if streams == 1 else 400}
        record(f"writing {streams} at once", *in_turn(workers, task))
    for worker in workers:
        worker.process.kill()
    with tempfile.TemporaryDirectory() as folder:
        commands(checkouts, Path(folder), record, options.titles)


def commands(checkouts: list[Path], folder: Path, record, titles_path: Path | None) -> None:
    """Record the start of commands, the time to the notebook's quality, and a gigabyte of text."""
    kept = [str(folder / f"run{number}") for number in range(2)]
    headlines = ["train.py", "--dataset", "headlines", "--steps", "1", "--workdir"]

    def run(side: int, arguments: list[str], until: str | None = None) -> tuple[float, float]:
        variables = {"PYTHONPATH": str(checkouts[side]), "XDG_CACHE_HOME": str(folder / f"cache{side}")}
        return timed(arguments, until, checkouts[side], **variables)

    def both(arguments: list[str], until: str | None, rounds: int, name: str) -> list[list[float]]:
        seconds: list[list[float]] = [[], []]
        for round_ in range(rounds):
            for side in (0, 1):
                new = [f"{folder}/{name}{side}_{round_}"] if arguments[-1] == "--workdir" else []
                own = [*(kept[side] if part == "KEPT" else part for part in arguments), *new]
                seconds[side].append(run(side, own, until)[0])
        return seconds

    cold = both(headlines, "step 1/1 ", 1, "cold")
    record("first training step, nothing compiled", *cold)
    record("first training step", *both(headlines, "step 1/1 ", ROUNDS, "warm"))
    for side in (0, 1):
        run(side, [*headlines, kept[side]])
        run(side, ["sample.py", "--workdir", kept[side], "--num-samples", "1"])
    record("sample.py", *both(["sample.py", "--workdir", "KEPT", "--num-samples", "1"], None, ROUNDS, "sample"))
    if titles_path is not None:
        texts = titles(titles_path)
        for name, some in (("train.txt", texts[:7000]), ("held_out.txt", texts[7000:])):
            (folder / name).write_text("\n".join(some) + "\n", encoding="utf-8")
        data = ["--data", f"{folder}/train.txt", "--val-data", f"{folder}/held_out.txt", "--no-bos"]
        quick = ["train.py", *data, *QUICK, "--workdir"]
        both(quick, "best", 1, "compiled")
        record("to the notebook's quality", *both(quick, "best", ROUNDS, "quality"))
    line = "{:09d} the quick brown fox jumps over the lazy dog\n"
    path = folder / "gigabyte.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(line.format(k * 7919 % 999_999_937) for k in range(1_000_000_000 // len(line)))
    for what, rounds in (("a gigabyte, first time", 1), ("a gigabyte, again", 3)):
        seconds: list[list[float]] = [[], []]
        memory: list[list[float]] = [[], []]
        for round_ in range(rounds):
            for side in (0, 1):
                workdir = f"{folder}/{what[-5:]}{side}_{round_}"
                arguments = ["train.py", "--data", str(path), "--steps", "1", "--workdir", workdir]
                one, peak = run(side, arguments, "step 1/1 ")
                seconds[side].append(one)
                memory[side].append(peak)
        record(what, *seconds)
        record(f"{what}: peak memory, GB", *memory)


def revision(checkout: Path) -> str:
    """The commit of a checkout."""
    asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
