"""Compare flaxchar with PyTorch, Keras and Flax: ``python benchmarks/run.py`` for all benchmarks, or name some.

The sides of a comparison take turns, each in a process of its own. Ratios are medians over the rounds, with the least
and the greatest. PyTorch and Keras get virtual environments of their own under ``--environments``, made from
``requirements-*.txt``. Results go to ``results/``: a Markdown table, JSON and a picture.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
ROUNDS = 7
# The settings that reach the notebook's held-out result soonest.
QUICK = [
    *("--hidden", "128", "--embedding", "0", "--dropout", "0"),
    *("--batch-size", "16", "--buckets", "2", "--steps", "64", "--learning-rate", "0.09", "--warmup-steps", "5"),
]


class Worker:
    """The process of one framework (``workers.py``)."""

    def __init__(self, framework: str, python: Path, checkout: Path = ROOT, **variables: str) -> None:
        self.process = subprocess.Popen(
            [str(python), str(checkout / "benchmarks" / "workers.py"), framework],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **variables},
        )

    def ask(self, **message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Bench:
    """The workers and their results."""

    def __init__(self, environments: Path, titles: Path | None) -> None:
        self.environments, self.titles, self.workers, self.results = environments, titles, {}, {}

    def python(self, framework: str) -> Path:
        if framework in ("flaxchar", "flax"):
            return Path(sys.executable)
        folder = self.environments / framework
        if not folder.exists():
            print(f"making an environment for {framework}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            requirements = HERE / f"requirements-{framework}.txt"
            install = [str(folder / "bin" / "pip"), "install", "--quiet", "-r", str(requirements)]
            subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        return folder / "bin" / "python"

    def worker(self, framework: str) -> Worker:
        if framework not in self.workers:
            self.workers[framework] = Worker(framework, self.python(framework))
        return self.workers[framework]

    def seconds(self, tasks: dict[str, dict], least: float = 0.05) -> dict[str, list[float]]:
        """Seconds of each side's task, one number a round, each over about ``least`` seconds of repetitions."""
        once = {side: self.worker(side).ask(task=task) for side, task in tasks.items()}
        times = {side: max(1, round(least / seconds)) for side, seconds in once.items()}
        rounds = [{side: self.worker(side).ask(times=times[side]) for side in tasks} for _ in range(ROUNDS)]
        return {side: [one[side] for one in rounds] for side in tasks}

    def record(self, name: str, row: dict) -> None:
        self.results.setdefault(name, []).append(row)
        print(name, json.dumps(row), flush=True)


def ratio(ours: list[float], theirs: list[float]) -> list[float]:
    """Median, least and greatest of how many times as fast ``ours`` is as ``theirs``."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return [round(x, 2) for x in (statistics.median(ratios), min(ratios), max(ratios))]


def step(bench: Bench) -> None:
    """A whole training step: forward, backward, RMSprop."""
    shapes = [
        {"cell": cell, "batch": b, "hidden": h, "layers": n, "time": t}
        for cell, times in (("lstm", (64, 256)), ("gru", (64,)))
        for h, n, t, b in itertools.product((128, 256, 512), (1, 2), times, (8, 32, 64, 128))
    ]
    if bench.titles is not None:
        lengths = [len(title) for title in titles(bench.titles)]
        for batch, hidden in itertools.product((8, 32), (128, 256)):
            chosen = lengths[:batch]
            ragged = {"batch": batch, "hidden": hidden, "layers": 1, "time": max(chosen), "lengths": chosen}
            shapes.append({"cell": "lstm", **ragged})
    for shape in shapes:
        task = {"kind": "step", **shape}
        tasks = {"flaxchar": task, "torch": task}
        if shape["cell"] == "lstm" and shape["hidden"] == 128 and "lengths" not in shape:
            tasks |= {"keras": task, "flax": task}
        seconds = bench.seconds(tasks)
        peak = bench.seconds({"flax": {"kind": "peak"}}, 0.0)["flax"]
        flops_per_second = 2 * 2048**3 / min(peak)
        characters = sum(shape.get("lengths", [shape["time"]] * shape["batch"]))
        row = {key: value for key, value in shape.items() if key != "lengths"} | {"ragged": "lengths" in shape}
        for side, rounds in seconds.items():
            row[f"{side}_characters_per_second"] = round(characters / statistics.median(rounds))
            if side != "flaxchar":
                row[f"against_{side}"] = ratio(seconds["flaxchar"], rounds)
        h, n, gates = shape["hidden"], shape["layers"], {"lstm": 4, "gru": 3}[shape["cell"]]
        # Multiplications a character in the forward pass; the first layer looks up its input. The backward pass has
        # twice as many, and each comes with an addition.
        products = gates * h * h * (2 * n - 1) + 84 * h
        row["share_of_peak"] = round(
            6 * products * characters / statistics.median(seconds["flaxchar"]) / flops_per_second, 2
        )
        bench.record("step", row)


def titles(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[1] for row in csv.reader(file)]


def timed(
    arguments: list[str], until: str | None = None, checkout: Path = ROOT, **variables: str
) -> tuple[float, float]:
    """Seconds of a command, until it ends or prints a line that begins with ``until``, and its peak memory in GB."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **variables}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=checkout, env=environment
    )
    seconds = None
    for line in process.stdout:
        if until is not None and seconds is None and line.startswith(until):
            seconds = time.perf_counter() - start
    _, status, usage = os.wait4(process.pid, 0)
    if status or (until is not None and seconds is None):
        raise RuntimeError(f"{arguments} failed in {checkout}, or printed no line that begins with {until!r}")
    return seconds or time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9


def quality(bench: Bench) -> None:
    """Time to the held-out result of the notebook after 4 epochs: flaxchar against the notebook's training in Keras.

    flaxchar is timed from the start of the process until the model is trained, evaluated and saved. Its report on
    n-grams afterwards is not timed.
    """
    if bench.titles is None:
        print("quality: left out, for want of --titles")
        return
    texts = titles(bench.titles)
    # A new process, because Keras takes longer for an epoch in a process that has trained other models.
    keras = Worker("keras", bench.python("keras"))
    keras.ask(quality={"train": texts[:7000], "held_out": texts[7000:]})
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("train.txt", texts[:7000]), ("held_out.txt", texts[7000:])):
            (Path(folder) / name).write_text("\n".join(part) + "\n", encoding="utf-8")
        data = ["--data", f"{folder}/train.txt", "--val-data", f"{folder}/held_out.txt", "--no-bos"]
        epochs, rows, cache = [], [], f"{folder}/cache"
        for number in range(ROUNDS + 1):
            if number % 2 == 0:  # the sides take turns, because a machine's speed changes over time
                epochs.append(keras.ask(epoch=True))
            command = ["train.py", *data, *QUICK, "--workdir", f"{folder}/run{number}"]
            seconds, _ = timed(command, until="best checkpoint: ", XDG_CACHE_HOME=cache)
            lines = (Path(folder) / f"run{number}" / "metrics.jsonl").read_text().splitlines()
            bits = [b for line in lines if (b := json.loads(line).get("held_out_bits_per_character"))][-1]
            rows.append((seconds, bits))
    keras.process.kill()
    keras_seconds, target = sum(seconds for seconds, _ in epochs), epochs[-1][1]
    warm = sorted(seconds for seconds, _ in rows[1:])
    bench.record(
        "quality",
        {
            "keras_seconds": round(keras_seconds, 1),
            "keras_bits_per_character_by_epoch": [round(bits, 3) for _, bits in epochs],
            "flaxchar_bits_per_character": round(rows[-1][1], 3),
            "reached": rows[-1][1] <= target,
            "flaxchar_seconds_first_ever": round(rows[0][0], 1),
            "flaxchar_seconds": [round(x, 2) for x in (statistics.median(warm), warm[0], warm[-1])],
            "ratio_first_ever": round(keras_seconds / rows[0][0], 1),
            "ratio": round(keras_seconds / statistics.median(warm), 1),
        },
    )


def sampling(bench: Bench) -> None:
    """Characters a second written by LSTM(128), temperature 0.8."""
    for streams in (1, 16, 128, 512):
        sizes = {"flaxchar": 2000 if streams == 1 else 400, "torch": 200}
        if streams == 1:
            sizes["keras"] = 40
        tasks = {s: {"kind": "write", "streams": streams, "hidden": 128, "size": size} for s, size in sizes.items()}
        seconds = bench.seconds(tasks)
        per_character = {s: [x / streams / (sizes[s] - 1) for x in rounds] for s, rounds in seconds.items()}
        row = {"streams": streams}
        for side, rounds in per_character.items():
            row[f"{side}_characters_per_second"] = round(1 / statistics.median(rounds), 1)
            if side != "flaxchar":
                row[f"against_{side}"] = ratio(per_character["flaxchar"], rounds)
        bench.record("sampling", row)


def first_step(folder: str, number: object, *arguments: str) -> tuple[float, float]:
    """Seconds from the start of ``train.py`` to the end of its first step, and the process' peak memory in GB."""
    command = ["train.py", *arguments, "--steps", "1", "--workdir", f"{folder}/run{number}"]
    return timed(command, until="step 1/1 ", XDG_CACHE_HOME=f"{folder}/cache")


def startup(bench: Bench) -> None:
    """Seconds from the start of a command to its first training step on the embedded corpus, or its first text."""
    cold, warm, text = [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(first_step(folder, "cold", "--dataset", "headlines")[0])
    with tempfile.TemporaryDirectory() as folder:
        first_step(folder, 0, "--dataset", "headlines")
        sample = ["sample.py", "--workdir", f"{folder}/run0", "--num-samples", "1"]
        timed(sample, XDG_CACHE_HOME=f"{folder}/cache")
        for number in range(1, ROUNDS + 1):
            warm.append(first_step(folder, number, "--dataset", "headlines")[0])
            text.append(timed(sample, XDG_CACHE_HOME=f"{folder}/cache")[0])
    for what, seconds in (("first training step, cold", cold), ("first training step", warm), ("sample.py", text)):
        bench.record("startup", {"what": what, "seconds": spread(seconds)})


def spread(values: list[float]) -> list[float]:
    """Median, least and greatest, rounded to four significant digits."""
    return [float(f"{x:.4g}") for x in (statistics.median(values), min(values), max(values))]


def growth(bench: Bench) -> None:
    """Seconds to the first training step and peak memory on files of growing size, read first and read again."""
    line = "{:09d} the quick brown fox jumps over the lazy dog\n"
    for megabytes in (1, 100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            first_step(folder, "before", "--dataset", "headlines")  # compiles the kernel
            path = Path(folder) / "texts.txt"
            with path.open("w", encoding="utf-8") as file:
                file.writelines(line.format(k * 7919 % 999_999_937) for k in range(megabytes * 1_000_000 // len(line)))
            first = first_step(folder, 1, "--data", str(path))
            again = [first_step(folder, number, "--data", str(path)) for number in (2, 3, 4)]
            row = {
                "megabytes": megabytes,
                "first_seconds": round(first[0], 1),
                "first_peak_gigabytes": round(first[1], 2),
                "again_seconds": spread([seconds for seconds, _ in again]),
                "again_peak_gigabytes": round(max(memory for _, memory in again), 2),
            }
            bench.record("growth", row)


BENCHMARKS = {"step": step, "quality": quality, "sampling": sampling, "startup": startup, "growth": growth}


def machine() -> dict:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line for line in lines if line.startswith("flags")), "")
    vectors = next((kind for kind in ("avx512f", "avx2", "avx") if f" {kind}" in flags), platform.machine())
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")}
    peers = [line for name in ("torch", "keras") for line in (HERE / f"requirements-{name}.txt").read_text().split()]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{name}, {os.cpu_count()} cores, {vectors}",
        "python": platform.python_version(),
        "versions": versions,
        "peers": peers,
        "rounds": ROUNDS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"benchmarks to run, of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--titles", type=Path, help="AG News' test.csv: class, title, description")
    parser.add_argument(
        "--environments", type=Path, default=HERE / "environments", help="folder where the peers are installed"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    bench = Bench(options.environments, options.titles)
    options.results.mkdir(exist_ok=True)
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name](bench)
        everything = {"machine": machine(), **bench.results}
        (options.results / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    subprocess.run([str(bench.python("report")), str(HERE / "report.py"), str(options.results)], check=True)


if __name__ == "__main__":
    main()
