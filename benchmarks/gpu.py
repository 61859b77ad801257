"""Measure flaxchar on a GPU, beside PyTorch: ``python benchmarks/gpu.py --book book.txt``; some five minutes.

Both frameworks run in this process and take turns on the same card, on the same arrays. Numbers are medians over the
rounds. Starts and runs are commands in processes of their own, as a user gives them. The results go to ``results/``
(or ``--results``): ``gpu.json``, and ``gpu.md`` with each goal beside its figure.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

import flaxchar
from flaxchar import Batch, CharLM, ModelConfig, TrainingConfig, TrainStep, init_params, init_state, make_optimizer
from flaxchar.commands.process import compute_alike
from flaxchar.data.cache import load_encoded
from flaxchar.generation.generate import generate
from flaxchar.hardware import this_hardware
from flaxchar.models.charlm import make_model
from flaxchar.presets import resolve
from flaxchar.training.devices import single_device
from flaxchar.training.plan import make_batches
from flaxchar.training.run_directory import METRICS

HERE = Path(__file__).parent
ROOT = HERE.parent
VOCAB, EMBEDDING = 84, 64
# Batch, time, units, layers.
SHAPES = [
    *[(32, 64, 128, 1), (32, 64, 256, 1), (128, 64, 256, 1), (512, 128, 256, 1), (128, 256, 512, 1)],
    *[(128, 256, 512, 2), (64, 256, 1024, 1), (256, 128, 1024, 2)],
]
SIDES = [("lstm", "float32"), ("lstm", "bfloat16"), ("gru", "float32"), ("gru", "bfloat16"), ("rnn", "float32")]
ROUNDS, ROUND_SECONDS = 5, 0.06
TEXTS, CHARACTERS = 4096, 256
GOALS = {
    "step": "1.2 times as fast as the better of PyTorch's TF32 and bfloat16, up to 512 units",
    "writing": "40 million characters a second",
    "cold": "15 s to the first step with nothing compiled",
    "warm": "5 s to the first step",
    "samples": "4,096 texts written within 5 s of process start",
    "training": "90 % of the places a second of the step alone",
    "places": "at most a tenth of the places are padding",
    "book": "1.47 nats on held-out text of a 1 MB book within 30 s of process start",
}


# ---- the training step ----------------------------------------------------------------------------------------------


def arrays(batch: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(0).integers(1, VOCAB, (2, batch, steps)).astype(np.int32))


def flaxchar_step(cell: str, dtype: str, shape: tuple[int, ...]):
    batch, steps, hidden, layers = shape
    model = CharLM(
        VOCAB, ModelConfig(cell=cell, hidden=hidden, layers=layers, embedding=EMBEDDING, dropout=0.0, dtype=dtype)
    )
    optimizer = make_optimizer(TrainingConfig(optimizer="adam", clip_norm=None))
    state = [init_state(model, optimizer, batch, jax.random.key(0))]
    inputs, targets = arrays(batch, steps)
    full = jax.device_put(Batch(inputs, targets, np.ones_like(inputs, bool), np.array(True)))
    train_step = TrainStep(model, optimizer, jax.random.key(1))
    train_step.compile(state[0], batch, [steps])

    def run(count: int) -> None:
        for _ in range(count):
            state[0], sums = train_step(state[0], full, 1e-3)
        sums.nats.block_until_ready()

    return run


def torch_step(cell: str, dtype: str, shape: tuple[int, ...]):
    import torch
    from torch import nn

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    batch, steps, hidden, layers = shape

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, EMBEDDING)
            layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
            self.recurrence = layer(EMBEDDING, hidden, layers, batch_first=True)
            self.logits = nn.Linear(hidden, VOCAB)

        def forward(self, ids):
            return self.logits(self.recurrence(self.embedding(ids))[0])

    model = Model().cuda()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    ids, targets = (torch.from_numpy(array).long().cuda() for array in arrays(batch, steps))

    def run(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16, enabled=dtype == "bfloat16"):
                logits = model(ids)
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
        torch.cuda.synchronize()

    return run


def in_turn(sides: dict) -> dict[str, float]:
    """Milliseconds of each side's step: medians over rounds in which the sides take turns."""
    counts = {}
    for name, run in sides.items():
        run(3)
        begin = time.perf_counter()
        run(3)
        counts[name] = max(3, round(3 * ROUND_SECONDS / (time.perf_counter() - begin)))
    seconds = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            begin = time.perf_counter()
            run(counts[name])
            seconds[name].append((time.perf_counter() - begin) / counts[name])
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def steps() -> list[dict]:
    jobs = [(cell, dtype, shape) for cell, dtype in SIDES for shape in SHAPES]
    with ThreadPoolExecutor(12) as pool:
        ours = dict(zip(jobs, pool.map(lambda job: flaxchar_step(*job), jobs), strict=True))
    rows = []
    for cell in ("lstm", "gru", "rnn"):
        for shape in SHAPES:
            sides = {f"flaxchar {d}": ours[c, d, s] for c, d, s in jobs if (c, s) == (cell, shape)}
            sides |= {f"PyTorch {dtype}": torch_step(cell, dtype, shape) for dtype in ("float32", "bfloat16")}
            milliseconds = in_turn(sides)
            best = [min(v for side, v in milliseconds.items() if side.startswith(who)) for who in ("flax", "PyTorch")]
            ratio = best[1] / best[0]
            rows.append({"cell": cell, "shape": shape, "milliseconds": milliseconds, "ratio": ratio})
            print(cell, *shape, {k: round(v, 2) for k, v in milliseconds.items()}, f"{ratio:.2f}", flush=True)
    return rows


# ---- writing --------------------------------------------------------------------------------------------------------


def writing() -> dict:
    import torch
    from torch import nn

    characters = "".join(map(chr, range(33, 33 + VOCAB - 2)))
    vocabulary = flaxchar.Vocabulary.build([characters])
    model = CharLM(vocabulary.size, ModelConfig(hidden=256, embedding=EMBEDDING))
    params = init_params(model, jax.random.key(0))
    params["logits"]["bias"] = params["logits"]["bias"].at[vocabulary.eos].set(-1e9)  # no text ends by itself
    prompt = np.zeros(0, np.int32)

    def ours(texts: int) -> None:
        written = generate(model, params, vocabulary, prompt, texts, CHARACTERS)
        assert sum(map(len, written)) == texts * CHARACTERS

    layers = nn.Embedding(VOCAB, EMBEDDING), nn.LSTM(EMBEDDING, 256, batch_first=True), nn.Linear(256, VOCAB)
    embedding, lstm, logits = (layer.cuda().eval() for layer in layers)

    @torch.no_grad()
    def theirs(texts: int) -> None:
        ids, state, written = torch.full((texts, 1), VOCAB - 1, device="cuda"), None, []
        for _ in range(CHARACTERS):
            hidden, state = lstm(embedding(ids), state)
            ids = torch.multinomial(torch.softmax(logits(hidden[:, 0]), -1), 1)
            written.append(ids)
        torch.cat(written, 1).cpu()

    result = {}
    for texts in (1, 1024, TEXTS):
        sides = {"flaxchar": functools.partial(ours, texts), "PyTorch": functools.partial(theirs, texts)}
        seconds = {name: [] for name in sides}
        for number in range(4):
            for name, write in sides.items():
                begin = time.perf_counter()
                write()
                if number:
                    seconds[name].append(time.perf_counter() - begin)
        result[texts] = {name: texts * CHARACTERS / statistics.median(values) for name, values in seconds.items()}
        print("writing", texts, {name: f"{speed / 1e6:.2f} M/s" for name, speed in result[texts].items()}, flush=True)
    return result


# ---- commands -------------------------------------------------------------------------------------------------------


def command(*arguments: str, cache: Path) -> tuple[list[tuple[float, str]], float]:
    """Run a command; returns its lines with the seconds at which they came, and the seconds of the whole."""
    begin = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, **pipes)
    lines = [(time.perf_counter() - begin, line.rstrip()) for line in process.stdout]
    if process.wait():
        raise RuntimeError("\n".join(line for _, line in lines[-20:]))
    return lines, time.perf_counter() - begin


def first_step(lines: list[tuple[float, str]]) -> float:
    return next(seconds for seconds, line in lines if line.startswith("step "))


def speed_of_run(run: Path) -> float:
    """Characters a second while the steps of a run were taken: the median of its records after the first tenth."""
    records = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    speeds = [record["characters_per_second"] for record in records if "characters_per_second" in record]
    return statistics.median(speeds[len(speeds) // 10 :])


def step_alone(*arguments: tuple[str, object]) -> tuple[float, float]:
    """Places a second of the training step alone on a batch of a corpus, and the share of its places with a target."""
    settings = dict(arguments)
    corpus, config = load_encoded(resolve(settings))
    config = resolve(settings, corpus=corpus.facts(config.data))
    layout = single_device()
    batches = make_batches(corpus, config, layout)
    model = make_model(corpus.vocabulary, config.model)
    optimizer = make_optimizer(config.training)
    state = init_state(model, optimizer, batches.rows, jax.random.key(0), config.data.running)
    step = TrainStep(model, optimizer, jax.random.key(1))
    made = [batches.batch(k) for k in range(min(20, batches.steps_per_epoch - 1))]
    filled = float(np.mean([batch.mask.mean() for batch in made]))
    batch = jax.device_put(made[0])
    seconds = []
    for number in range(ROUNDS + 1):
        begin = time.perf_counter()
        for _ in range(100):
            state, sums = step(state, batch, 1e-4)
        sums.nats.block_until_ready()
        if number:
            seconds.append(time.perf_counter() - begin)
    return 100 * batch.inputs.size / statistics.median(seconds), filled


def runs(book: Path | None, folder: Path) -> dict:
    cache, result = folder / "cache", {}
    headlines = "--dataset", "headlines"
    lines, seconds = command("train.py", "--workdir", str(folder / "cold"), *headlines, "--steps", "200", cache=cache)
    result["cold"] = first_step(lines)
    lines, seconds = command("train.py", "--workdir", str(folder / "warm"), *headlines, cache=cache)
    result["warm"], result["headlines"] = first_step(lines), {"seconds": seconds, "result": _result(lines)}
    for _ in range(2):
        _, seconds = command("sample.py", "--workdir", str(folder / "warm"), "--num-samples", str(TEXTS), cache=cache)
    result["samples"] = seconds
    alone, filled = step_alone(("dataset", "headlines"))
    result["headlines"] |= {"filled": filled, "share": speed_of_run(folder / "warm") / filled / alone, "alone": alone}
    print(result, flush=True)
    if book is not None:
        run = folder / "book"
        lines, seconds = command("train.py", "--workdir", str(run), "--data", str(book), cache=folder / "other")
        records = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
        losses = {record["step"]: record["held_out_loss"] for record in records if "held_out_loss" in record}
        times = {step: when for when, line in lines for step in losses if f" step {step:,}:" in line}
        reached = [times[step] for step, loss in losses.items() if loss <= 1.47]
        alone, filled = step_alone(("data", (str(book),)))
        result["book"] = {
            "cold": first_step(lines),
            "seconds": seconds,
            "best": min(losses.values()),
            "reached": min(reached, default=None),
            "filled": filled,
            "share": speed_of_run(run) / filled / alone,
            "alone": alone,
        }
        print(result["book"], flush=True)
    return result


def _result(lines: list[tuple[float, str]]) -> str:
    return next(line for _, line in lines if line.startswith("best checkpoint")).split(" (")[0]


# ---- the report -----------------------------------------------------------------------------------------------------


def report(results: dict) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "torch"))
    lines = [
        "# Results on a GPU",
        "",
        f"{results['date']}; {results['card']}; {versions}. Written by `python benchmarks/gpu.py`. Medians of {ROUNDS} "
        "rounds, in which the sides take turns. PyTorch runs cuDNN's recurrences.",
    ]
    if "steps" in results:
        lines += [
            "",
            "## Training step",
            "",
            f"Milliseconds (forward, backward, Adam; embedding {EMBEDDING}, {VOCAB} ids). The ratio is of the better "
            f"precision of each. Goal: {GOALS['step']}.",
            "",
            "| cell | batch | time | units | layers | PyTorch TF32 | bfloat16 | flaxchar TF32 | bfloat16 | ratio |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in results["steps"]:
            ms = row["milliseconds"]
            columns = [ms.get(f"{who} {dtype}") for who in ("PyTorch", "flaxchar") for dtype in ("float32", "bfloat16")]
            shown = " | ".join("" if value is None else f"{value:.2f}" for value in columns)
            cells = " | ".join(map(str, row["shape"]))
            lines.append(f"| {row['cell']} | {cells} | {shown} | {row['ratio']:.2f} |")
    if "writing" in results:
        lines += [
            "",
            "## Writing",
            "",
            f"Million characters a second; texts of {CHARACTERS} characters, 256 units. Goal: {GOALS['writing']} with "
            f"{TEXTS:,} texts.",
            "",
            "| texts | PyTorch | flaxchar |",
            "|---|---|---|",
        ]
        lines += [
            f"| {int(texts):,} | {speeds['PyTorch'] / 1e6:.3f} | {speeds['flaxchar'] / 1e6:.3f} |"
            for texts, speeds in results["writing"].items()
        ]
    if "runs" in results:
        lines += ["", "## Starts and runs", "", "| what | goal | figure |", "|---|---|---|"]
        r = results["runs"]
        lines += [
            f"| cold start, headlines | {GOALS['cold']} | {r['cold']:.1f} s |",
            f"| warm start, headlines | {GOALS['warm']} | {r['warm']:.1f} s |",
            f"| {TEXTS:,} samples | {GOALS['samples']} | {r['samples']:.1f} s |",
            f"| a run of headlines, whole command | | {r['headlines']['seconds']:.0f} s; {r['headlines']['result']} |",
        ]
        for name in ("headlines", "book"):
            if name in r:
                share = f"{r[name]['share']:.0%} of {r[name]['alone'] / 1e6:.2f} M"
                lines += [
                    f"| training, {name} | {GOALS['training']} | {share} |",
                    f"| places with a target, {name} | {GOALS['places']} | {r[name]['filled']:.1%} |",
                ]
        if "book" in r:
            reached = "not reached" if r["book"]["reached"] is None else f"after {r['book']['reached']:.1f} s"
            lines.append(
                f"| a book | {GOALS['book']} | {reached}; {r['book']['best']:.3f} nats at best, the whole command "
                f"{r['book']['seconds']:.0f} s, first step after {r['book']['cold']:.1f} s with nothing compiled |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="runs, writing, steps; all without a name")
    parser.add_argument("--book", type=Path, help="a book of about 1 MB, UTF-8")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    parts = options.parts or ["runs", "writing", "steps"]
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the memory
    compute_alike()  # as in the commands
    options.results.mkdir(parents=True, exist_ok=True)
    file, results = options.results / "gpu.json", {}
    if file.exists() and options.parts and (before := json.loads(file.read_text()))["card"] == this_hardware().name:
        results = before  # the parts that are not measured again
    results |= {"date": f"{datetime.date.today()}", "card": this_hardware().name}
    print(results["card"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        makers = {"runs": lambda: runs(options.book, Path(folder)), "writing": writing, "steps": steps}
        for part in parts:
            results[part] = makers[part]()
            # What is measured is kept, whatever happens to the rest.
            file.write_text(json.dumps(results, indent=1) + "\n")
            (options.results / "gpu.md").write_text(report(results))


if __name__ == "__main__":
    main()
