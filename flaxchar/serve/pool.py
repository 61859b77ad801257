"""The model pool: the runs that are served, each with its best model, or its newest one while it is being trained."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from flaxchar.config import InputError
from flaxchar.language_model import LanguageModel
from flaxchar.models.charlm import count_params
from flaxchar.training.checksums import DamagedError
from flaxchar.training.run_directory import METRICS, Run
from flaxchar.training.run_files import read_sealed
from flaxchar.training.saved_model import load_model

# Seconds between two checks for a new checkpoint of a run.
LOOK_EVERY = 2.0
# If the metrics of a run are older than this many seconds, the run is not being trained.
STILL_TRAINING = 120.0
# The most points of a curve: more than a screen can show.
MOST_POINTS = 400
# The most labels that the page offers.
MOST_LABELS = 1000


class ServedRun:
    """One run that is served.

    Attributes:
      name: its name in the API.
      path: its folder.
    """

    def __init__(self, name: str, path: Path) -> None:
        """Open a run.

        Raises:
          InputError: the folder has no run, or the run is damaged.
        """
        self.name, self.path = name, path
        self._lock = threading.Lock()
        self._model: LanguageModel | None = None
        self._problem, self._looked = "", -LOOK_EVERY
        self._seen: tuple[int, int | None] | None = None
        self._run = Run.open(path)
        self._run.close()

    def model(self) -> LanguageModel:
        """The model of the best checkpoint, or of the newest one while the run is being trained.

        The folder is checked again after ``LOOK_EVERY`` seconds. If it cannot be read then, the loaded model is kept.

        Raises:
          InputError: there is no checkpoint yet, or it is damaged.
        """
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_EVERY:
                self._looked = time.monotonic()
                self._look()
            if self._model is None:
                raise InputError(self._problem)
            return self._model

    def describe(self) -> dict[str, Any]:
        """Describe the run for the page, as JSON types."""
        problem = ""
        try:
            self.model()
        except InputError as error:
            problem = str(error)
        run, lm, vocabulary = self._run, self._model, self._run.vocabulary
        network = run.config.model
        last = self._last_step()
        return {
            "name": self.name,
            "problem": problem or self._problem,
            "writes": not vocabulary.classifies,
            "classifies": bool(vocabulary.labels),
            "labels": list(vocabulary.labels[:MOST_LABELS]),
            "needs_label": bool(vocabulary.labels) and not vocabulary.classifies,
            "needs_source": vocabulary.source_end is not None and not vocabulary.classifies,
            "unit": vocabulary.unit,
            "running": run.config.data.running,
            "cell": network.cell,
            "layers": network.layers,
            "hidden": network.hidden,
            "vocabulary": sum(token is not None for token in vocabulary.tokens),
            "parameters": None if lm is None else count_params(lm.params),
            "step": None if self._seen is None else self._seen[1],
            "last_step": last,
            "steps": run.steps,
            "training": self._is_training(last),
        }

    def curves(self) -> dict[str, Any]:
        """The losses of the run so far, its baselines and its entropy floor, as JSON types.

        The curve of the training loss has at most ``MOST_POINTS`` points, each the mean of a few records.
        """
        with self._lock:
            run = self._run
        records = run.read(METRICS, run.steps)
        name, held_out = "bits_per_character", "held_out_bits_per_character"
        training = [(r["step"], r[name], r.get("learning_rate"), r.get("seconds", 0.0)) for r in records if name in r]
        baselines: dict[str, float] = {}
        with contextlib.suppress(DamagedError, InputError, OSError):
            if run.has_baselines:
                baselines = read_sealed(run.path / "baselines.json")
        return {
            "name": self.name,
            "unit": "text" if run.vocabulary.classifies else "character",
            "steps": run.steps,
            "training_now": self._is_training(self._last_step()),
            "training": [[step, bits] for step, bits, _, _ in _thinned(training)],
            "learning_rate": [[step, rate] for step, _, rate, _ in _thinned(training) if rate is not None],
            "held_out": [[r["step"], r[held_out]] for r in records if r.get(held_out) is not None],
            "seconds": round(sum(seconds for *_, seconds in training), 1),
            "baselines": {k: v for k, v in baselines.items() if isinstance(v, int | float)},
            "floor": run.record.get("texts", {}).get("floor"),
        }

    def _look(self) -> None:
        """Load the model if it has changed since the last check."""
        try:
            run = Run.open(self.path)
            try:
                self._run = run
                newest = self._is_training(self._last_step())
                best = run.checkpoints.best()
                step = run.checkpoints.last_step() if newest else None if best is None else best[0]
                seen = (os.stat(self.path / "config.json").st_mtime_ns, step)
                if self._model is None or seen != self._seen:
                    trained = load_model(run, newest)
                    params = jax.tree.map(jax.device_put, trained.params)
                    self._model = LanguageModel(params, trained.vocabulary, trained.config)
                    self._seen = seen
            finally:
                run.close()
            self._problem = ""
        except (InputError, OSError) as error:
            self._problem = str(error)

    def _last_step(self) -> int:
        """The last step in the metrics."""
        try:
            records = self._run.read(METRICS, self._run.steps)
        except (InputError, OSError):
            return 0
        return records[-1]["step"] if records else 0

    def _is_training(self, last: int) -> bool:
        """Whether the run has begun and has steps left, and its metrics are at most ``STILL_TRAINING`` seconds old."""
        try:
            age = time.time() - os.stat(self.path / METRICS).st_mtime
        except OSError:
            return False
        return 0 < last < self._run.steps and age < STILL_TRAINING


class ModelPool:
    """The runs that are served, by name.

    Example::

        pool = ModelPool([Path("runs/headlines"), Path("runs/names")])
        pool.get("names").model()
        pool.get(None)  # the first
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Open runs. Each is named after its folder; a second one of the same name gets a number.

        Raises:
          InputError: a folder holds no run.
        """
        self._runs: dict[str, ServedRun] = {}
        for path in paths:
            name = plain = path.resolve().name or "run"
            number = 1
            while name in self._runs:
                number += 1
                name = f"{plain}-{number}"
            self._runs[name] = ServedRun(name, path)

    def __iter__(self) -> Any:
        """The runs in their order."""
        return iter(self._runs.values())

    def get(self, name: str | None) -> ServedRun | None:
        """The run of that name, or the first run for None; None if there is no such run."""
        return next(iter(self)) if name is None else self._runs.get(name)


def _thinned(points: list[tuple]) -> list[tuple]:
    """Merge points ``(step, bits, rate, seconds)`` to ``MOST_POINTS`` at most: mean bits, the rest of the last."""
    few = max(1, -(-len(points) // MOST_POINTS))
    parts = [points[k : k + few] for k in range(0, len(points), few)]
    return [(part[-1][0], round(sum(p[1] for p in part) / len(part), 4), *part[-1][2:]) for part in parts]
