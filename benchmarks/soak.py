"""Soak: hours of training and of sampling, with memory, descriptors, threads and speed watched.

``python benchmarks/soak.py --minutes 120`` trains in one process, with an evaluation every ten seconds, or after each
epoch if that takes longer, and a checkpoint every minute, as any run. Another process writes texts all the time, and
loads the newest model every minute. Each records what it holds and what it has done. The growth from the end of the
warm-up to the end goes to ``results/soak.json``, which is written anew after each record: a soak that is cut short
counts for as long as it ran.

Speed is work per second of the process' own CPU time, so other processes on the machine change it little.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
# The process compiles, and fills its caches, for so long, as a share of the whole. What it does then is not counted.
WARM_UP = 0.1
# Growth compares this share of the records after the warm-up with the same share at the end.
COMPARED = 0.15
SAMPLES = 64
# Seconds between two loads: as often as training saves a checkpoint.
LOAD_EVERY = 60.0
EVALUATIONS_PER_HOUR = 360


class Recorder:
    """Records what this process holds and has done, every few seconds."""

    def __init__(self, path: Path, every: float) -> None:
        self._path, self._every, self._next = path, every, time.monotonic() + every
        self._began = time.monotonic()

    def record(self, **work: int) -> None:
        """Append a record if one is due."""
        if time.monotonic() < self._next:
            return
        self._next += self._every
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        record = {
            "seconds": round(time.monotonic() - self._began, 1),
            "cpu_seconds": round(time.process_time(), 3),
            "resident_kib": int(status["VmRSS"].split()[0]),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": int(status["Threads"]),
            **work,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def train(run: Path, recorder: Recorder, minutes: float) -> None:
    """Train until somebody ends the process."""
    from flaxchar import Config
    from flaxchar.data.cache import load_encoded
    from flaxchar.training import plan
    from flaxchar.training.reporting import Observer
    from flaxchar.training.session import train_corpus

    class Recording(Observer):
        def progressed(self, progress, steps, bits_per_character, characters) -> None:
            recorder.record(steps=progress.step)

    hours = 3 * minutes / 60  # planned for longer than it will last: it must not come to its end
    plan.MOST_EVALUATIONS = round(EVALUATIONS_PER_HOUR * hours)
    config = Config().replace(dataset="headlines", hidden=64, batch_size=32, time_budget=f"{round(3600 * hours)}s")
    corpus, config = load_encoded(config)
    train_corpus(corpus, config, run, Recording())


def sample(run: Path, recorder: Recorder) -> None:
    """Write texts, and load the newest model every minute, until somebody ends the process."""
    import flaxchar

    texts = characters = loads = seed = 0
    while True:
        try:
            lm = flaxchar.load(run)
        except flaxchar.InputError:  # no checkpoint yet
            time.sleep(0.5)
            continue
        loads, until = loads + 1, time.monotonic() + LOAD_EVERY
        while time.monotonic() < until:
            written, seed = lm.generate(num_samples=SAMPLES, seed=seed), seed + 1
            texts, characters = texts + len(written), characters + sum(map(len, written))
            recorder.record(samples=texts, characters=characters, loads=loads)


def read(path: Path) -> list[dict]:
    """The records of a process; one that is just being written is left out."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def growth(records: list[dict], warm_up: float) -> dict:
    """What has grown from the end of the warm-up to the end, and how the rates have drifted, in percent."""
    warm = [record for record in records if record["seconds"] >= warm_up]
    count = max(2, round(COMPARED * len(warm)))
    if len(warm) < 2 * count:
        return {}

    def median(part: list[dict], name: str) -> float:
        return statistics.median(record[name] for record in part)

    def rate(part: list[dict], name: str) -> float:
        return (part[-1][name] - part[0][name]) / (part[-1]["cpu_seconds"] - part[0]["cpu_seconds"])

    def percent(before: float, after: float) -> float:
        return round(100 * (after / before - 1), 2)

    def state(part: list[dict]) -> dict:
        # A checkpoint has threads and files of its own for a moment, so the least number tells what stays.
        least = {name: min(record[name] for record in part) for name in ("descriptors", "threads")}
        held = {"resident_kib": median(part, "resident_kib"), **least}
        done = [name for name in ("steps", "samples", "characters") if name in part[0]]
        return {**held, "per_cpu_second": {name: round(rate(part, name), 2) for name in done}}

    before, after = state(warm[:count]), state(warm[-count:])
    rates = {name: (value, after["per_cpu_second"][name]) for name, value in before["per_cpu_second"].items()}
    return {
        "memory_growth_percent": percent(before["resident_kib"], after["resident_kib"]),
        "descriptors_growth": after["descriptors"] - before["descriptors"],
        "threads_growth": after["threads"] - before["threads"],
        "rate_drift_percent": {name: percent(*pair) for name, pair in rates.items()},
        "after_warm_up": before,
        "at_the_end": after,
        "records": len(warm),
        "in_all": {name: records[-1][name] for name in records[-1] if name not in before},
    }


def soak(minutes: float, every: float, results: Path, kept: Path | None) -> None:
    """Start both processes, watch them, and write the results after each record."""
    began = time.monotonic()
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if kept is None else kept
        folder.mkdir(parents=True, exist_ok=True)
        commands = {
            role: [sys.executable, __file__, "--role", role, "--minutes", str(minutes), "--every", str(every)]
            for role in ("train", "sample")
        }
        # NumPy asks for huge pages. The system makes them whenever it has time, and rounds the memory up to 2 MB then.
        environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
        processes = {
            role: subprocess.Popen([*command, "--folder", str(folder)], env=environment)
            for role, command in commands.items()
        }
        try:
            while (passed := time.monotonic() - began) < 60 * minutes:
                time.sleep(min(every, max(0.0, 60 * minutes - passed)))
                ended = [role for role, process in processes.items() if process.poll() is not None]
                report = {
                    "date": datetime.date.today().isoformat(),
                    "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores for both processes",
                    "python": platform.python_version(),
                    "versions": versions,
                    "minutes_planned": minutes,
                    "minutes": round((time.monotonic() - began) / 60, 1),
                    "warm_up_minutes": round(WARM_UP * minutes, 1),
                    "ended_before_their_time": ended,
                    **{role: growth(read(folder / f"{role}.jsonl"), 60 * WARM_UP * minutes) for role in processes},
                }
                results.parent.mkdir(parents=True, exist_ok=True)
                scratch = results.with_name(results.name + ".new")
                scratch.write_text(json.dumps(report, indent=2) + "\n")
                scratch.replace(results)
                if ended:
                    sys.exit(f"{ended[0]} has ended with status {processes[ended[0]].returncode}")
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--every", type=float, default=20, help="seconds between two records")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--role", choices=("train", "sample"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep the run and the records here")
    options = parser.parse_args()
    if options.role is None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # and ends the two processes
        soak(options.minutes, options.every, options.results, options.folder)
        return
    from flaxchar.commands import process

    process.prepare()
    recorder = Recorder(options.folder / f"{options.role}.jsonl", options.every)
    if options.role == "train":
        train(options.folder / "run", recorder, options.minutes)
    else:
        sample(options.folder / "run", recorder)


if __name__ == "__main__":
    main()
