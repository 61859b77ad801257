"""Attacks on runs: damage, kills, power cuts, two trainings at once, links, a full disk, reading while training writes.

``python benchmarks/torture/storage.py`` runs all attacks and prints a row each; ``--attacks`` names some of them, and
``--count flips=500 kills=200`` says how often each is tried. A full disk needs the right to mount a small file system.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rows import Row

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "training")]
COUNTS = {
    "flips": 500,
    "pairs": 8,
    "kills": 200,
    "first_writes": 40,
    "power": 1,
    "signals": 60,
    "links": 8,
    "full": 3,
    "readers": 20,
}
SETTINGS = ("--hidden", "8", "--batch-size", "8", "--steps", "600")
# A process that is killed at its n-th call of the system that changes a name or makes something durable.
KILLED_AT = """
import os, signal, sys
n = int(sys.argv[1])
def killing(call):
    def wrapped(*arguments, **keywords):
        global n
        n -= 1
        if n < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **keywords)
    return wrapped
for name in ("fsync", "rename", "replace", "link", "mkdir"):
    setattr(os, name, killing(getattr(os, name)))
from flaxchar.commands.main import main
sys.exit(main(sys.argv[2:]))
"""
# A training that saves after every step.
SAVES_ALWAYS = """
import sys
from flaxchar.training import saver
saver.SAVE_EVERY = 0.0
from flaxchar.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


class Bench:
    """A folder to attack in: texts, and a run that was never interrupted."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        from flaxchar.data.headlines import generate_headlines

        self.folder, self.random = folder, random.Random(seed)
        self.texts = folder / "texts.txt"
        texts = [text for text in generate_headlines(8000, seed=9) if len(text) in (40, 45, 50)]
        self.texts.write_text("".join(text + "\n" for text in texts[:400]))
        self.whole = folder / "whole"
        for path in (folder / "compiles", self.whole):
            began = time.monotonic()
            assert self.train(path).returncode == 0
        self.seconds = time.monotonic() - began  # of a run whose programs are compiled

    def command(self, path: Path, *extra: str, begins: bool = True) -> list[str]:
        """``train`` in a folder; the run's own settings where it only goes on."""
        begin = ("--data", str(self.texts), *SETTINGS) if begins else ()
        return [sys.executable, "-m", "flaxchar", "train", "--workdir", str(path), *begin, *extra]

    def train(self, path: Path, *extra: str, begins: bool = True) -> subprocess.CompletedProcess[str]:
        command = self.command(path, *extra, begins=begins)
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def same_as_whole(self, path: Path) -> bool:
        """Whether a run ended as the one that was never interrupted: weights, best result, lines without the clock."""
        return ending(path) == ending(self.whole)


def ending(path: Path) -> object:
    import jax
    import numpy as np

    from flaxchar.training.run_directory import METRICS, SAMPLES, Run
    from flaxchar.training.saved_model import load_model

    run = Run.open(path)
    leaves = jax.tree.leaves(load_model(run).params)
    weights = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()
    lines = [json.loads(line) for name in (METRICS, SAMPLES) for line in (path / name).read_text().splitlines()]
    for line in lines:
        for name in ("seconds", "characters_per_second"):
            line.pop(name, None)
        if "loss" in line:  # the mean since the last line, or since the process began
            line.update(dict.fromkeys(("loss", "bits_per_character", "gradient_norm")))
    result = weights, run.checkpoints.best(), lines
    run.close()
    return result


def one_line(result: subprocess.CompletedProcess[str]) -> bool:
    return result.stderr.startswith("flaxchar: ") and result.stderr.count("\n") == 1


def score(path: Path) -> list[float]:
    import flaxchar

    return flaxchar.load(path).score(["Today it rains in Moscow", "President visits Paris"])


def flips(bench: Bench, count: int) -> Iterator[Row]:
    """Bits flipped in the files of a finished run, and files cut short: never another score."""
    path = bench.folder / "flipped"
    shutil.copytree(bench.whole, path)
    files, truth = [file for file in sorted(path.rglob("*")) if file.is_file()], score(path)
    deciding = [file for file in files if not file.name.endswith((".jsonl", "lock"))]
    for kind in ("a bit flipped in a file of a finished run", "a file of a finished run cut short"):
        detected = survived = lost = 0
        for number in range(count // 2):
            file = (deciding if number % 2 else files)[bench.random.randrange(len(deciding if number % 2 else files))]
            content = file.read_bytes()
            damaged = bytearray(content)
            if "flipped" in kind and content:
                bit = bench.random.randrange(8 * len(content))
                damaged[bit // 8] ^= 1 << bit % 8
            else:
                del damaged[bench.random.randrange(len(content) + 1) :]
            file.write_bytes(damaged)
            try:
                same = score(path) == truth
                survived, lost = survived + same, lost + (not same)
            except (ValueError, OSError) as error:  # InputError is a ValueError
                known = type(error).__module__.startswith("flaxchar")
                detected, lost = detected + known, lost + (not known)
            file.write_bytes(content)
        yield Row(kind, detected, survived, lost)


def pairs(bench: Bench, count: int) -> Iterator[Row]:
    """A second training in the folder of one that trains: refused, and nothing mixed."""
    long = ("--data", str(bench.texts), "--hidden", "8", "--batch-size", "8", "--steps", "100000")
    kinds: dict[str, tuple[str, ...]] = {
        "the same command": long,
        "--fresh": (*long, "--fresh"),
        "no settings": (),
        "--time-budget alone": ("--time-budget", "10s"),
    }
    refused = lost = 0
    for number in range(count):
        path, extra = bench.folder / f"pair{number}", list(kinds.values())[number % len(kinds)]
        train = [sys.executable, "-m", "flaxchar", "train", "--workdir", str(path)]
        first = bench.start([*train, *long])
        while first.poll() is None and not (path / "lock").exists():
            time.sleep(0.01)
        time.sleep(bench.random.uniform(0, bench.seconds))
        second = subprocess.run([*train, *extra], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
        first.terminate()  # it saves and ends
        _, err = first.communicate(timeout=300)
        told = second.returncode == 2 and one_line(second) and f"(process {first.pid} on " in second.stderr
        metrics = path / "metrics.jsonl"  # not there yet where the first one was stopped soon
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        steps = [json.loads(line)["step"] for line in lines]
        whole = first.returncode == 128 + signal.SIGTERM and steps == sorted(steps) and not Path(f"{path}.1").exists()
        refused, lost = refused + (told and whole), lost + (not (told and whole))
        if not (told and whole):
            print(second, first.returncode, err, file=sys.stderr)
    yield Row("two trainings in one folder", refused, 0, lost)


def kills(bench: Bench, count: int) -> Iterator[Row]:
    """Kills at random moments, several in each run, which then ends as if there had been none."""
    yield _interrupted(bench, count, "killed at a random moment", [signal.SIGKILL])


def signals(bench: Bench, count: int) -> Iterator[Row]:
    """Signals at random moments, in the first second too, and twice in a row."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    yield _interrupted(bench, count, "SIGINT, SIGTERM, SIGHUP at a random moment, once or twice", numbers)


def _interrupted(bench: Bench, count: int, attack: str, numbers: list[signal.Signals]) -> Row:
    """Interrupt runs at random moments, ten times each; a run then ends as the one that was never interrupted."""
    done = survived = lost = runs = 0
    while done < count:
        path, runs, clean = bench.folder / f"{numbers[0].name}{runs}", runs + 1, 0
        times = min(10, count - done)
        for _ in range(times):
            process = bench.start(bench.command(path))
            time.sleep(bench.random.uniform(0.1, bench.seconds))
            number = bench.random.choice(numbers)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
                if number != signal.SIGKILL and bench.random.random() < 0.3:
                    time.sleep(bench.random.uniform(0, 0.3))
                    process.send_signal(bench.random.choice(numbers))
            _, err = process.communicate(timeout=300)
            one = "Traceback" not in err and err.count("\n") <= 1
            clean += one
            if not one:
                print(err, file=sys.stderr)
        result = bench.train(path)
        same = result.returncode == 0 and bench.same_as_whole(path)
        done, survived, lost = done + times, survived + clean * same, lost + times - clean * same
        if not same:
            print(f"{path}: {result}", file=sys.stderr)
        else:
            shutil.rmtree(path)
    return Row(f"{attack} ({runs} runs)", 0, survived, lost)


def first_writes(bench: Bench, count: int) -> Iterator[Row]:
    """Killed at each of the first calls that write: no run, or one that goes on."""
    survived = lost = 0
    for number in range(count):
        path = bench.folder / f"first{number}"
        command = bench.command(path)
        subprocess.run(
            [command[0], "-c", KILLED_AT, str(number), *command[3:]], capture_output=True, cwd=ROOT, check=False
        )
        sample = [sys.executable, "-m", "flaxchar", "sample", "--workdir", str(path), "--num-samples", "1"]
        sampled = subprocess.run(sample, capture_output=True, text=True, cwd=ROOT, check=False)
        clear = sampled.returncode == 0 or (sampled.returncode == 2 and one_line(sampled))
        good = clear and bench.train(path).returncode == 0 and bench.same_as_whole(path)
        survived, lost = survived + good, lost + (not good)
        if not good:
            print(number, sampled, file=sys.stderr)
    yield Row("killed at one of the first writes", 0, survived, lost)


def power(bench: Bench, count: int) -> Iterator[Row]:
    """Power lost after each of the writes of a run; what was not synchronised is gone. ``count`` runs, alike."""
    from crashes import Disk, restore
    from test_power_loss import check, live

    survived = lost = 0
    for _ in range(count):
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(action="error"):
            folder = Path(name)
            disk = Disk(folder)
            with disk.recording():
                live(folder / "r", disk)
            for number, (state, promised) in enumerate(disk.unique()):
                crash = folder / f"crash{number}"
                restore(state, crash)
                try:
                    last = check(crash / "r") if (crash / "r").exists() else None
                    good = promised is None or (last is not None and last >= promised)
                except Exception as error:
                    print(f"{type(error).__name__}: {error}", file=sys.stderr)
                    good = False
                survived, lost = survived + good, lost + (not good)
    yield Row("power lost after any of a run's writes", 0, survived, lost)


def links(bench: Bench, count: int) -> Iterator[Row]:
    """Links in the place of files that training writes: what they point to stays as it is."""
    names = ["metrics.jsonl", "samples.jsonl", "baselines.json", "baselines.json.new", "config.json.new", "lock"]
    names += ["vocabulary.json", "checkpoints"]
    refused = survived = lost = 0
    for name in names[:count]:
        path, target = bench.folder / f"link-{name}", bench.folder / f"target-{name}"
        shutil.copytree(bench.whole, path)
        if name == "checkpoints":
            shutil.move(path / name, target)
            before = sorted(target.rglob("*"))
        else:
            before = (path / name).read_bytes() if name == "vocabulary.json" else b"precious"
            target.write_bytes(before)
            (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(target)
        result = bench.train(path, "--steps", "700", begins=False)
        after = sorted(target.rglob("*")) if target.is_dir() else target.read_bytes()
        if after != before or (result.returncode != 0 and not one_line(result)):
            lost += 1
        elif result.returncode == 1:
            refused += 1
        else:
            survived += 1
    yield Row("a symbolic link in the place of a run's file", refused, survived, lost)


def full(bench: Bench, count: int) -> Iterator[Row]:
    """A disk that is full: one line, status 1, and the run goes on once there is room."""
    told = lost = 0
    for number in range(count):
        mount = bench.folder / f"disk{number}"
        mount.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={60 + 60 * number}k", "tmpfs", str(mount)], check=False
        )
        if mounted.returncode:
            print("a full disk needs the right to mount a file system: left out", file=sys.stderr)
            return
        try:
            result = bench.train(mount / "r")
            clear = result.returncode == 1 and one_line(result) and "No space left on device" in result.stderr
            subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
            good = bench.train(mount / "r").returncode == 0 and bench.same_as_whole(mount / "r")
            told, lost = told + (clear and good), lost + (not (clear and good))
            if not (clear and good):
                print(result, file=sys.stderr)
        finally:
            subprocess.run(["umount", str(mount)], check=False)
    yield Row("a full disk", told, 0, lost)


def readers(bench: Bench, count: int) -> Iterator[Row]:
    """A model is loaded and scores again and again while training saves after every step, and begins anew."""
    from flaxchar import InputError

    path = bench.folder / "read"
    waiting = survived = lost = 0
    for number in range(2):
        command = bench.command(path, "--fresh")
        training = bench.start([command[0], "-c", SAVES_ALWAYS, *command[3:]])
        while survived + lost < count * (number + 1) // 2 and training.poll() is None:
            try:
                score(path)
                survived += 1
            except InputError as error:
                none_yet = any(
                    words in str(error) for words in ("there is no folder", "no run yet", "no checkpoint yet")
                )
                waiting, lost = waiting + none_yet, lost + (not none_yet)
                if not none_yet:
                    print(error, file=sys.stderr)
                time.sleep(0.1)
        training.kill()
        training.communicate()
    yield Row("a model is read while training writes", waiting, survived, lost)


ATTACKS: dict[str, Callable[[Bench, int], Iterator[Row]]] = {name: globals()[name] for name in COUNTS}


def attacks(counts: Mapping[str, int] = COUNTS) -> Iterator[Row]:
    """Run the attacks, each as often as ``counts`` says."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name, count in counts.items():
            yield from ATTACKS[name](bench, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", nargs="+", choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--count", nargs="+", metavar="ATTACK=NUMBER", default=[])
    options = parser.parse_args()
    chosen = {name: int(number) for name, number in (count.split("=") for count in options.count)}
    for row in attacks({name: chosen.get(name, COUNTS[name]) for name in options.attacks}):
        print(row, flush=True)


if __name__ == "__main__":
    main()
