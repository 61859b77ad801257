"""The run directory: everything a model is and how it became so, in one folder that can be copied.

::

    config.json       settings, where the texts came from, the number of steps
    vocabulary.json   the tokens, in the order of their ids
    metrics.jsonl     training and held-out losses, a line each
    baselines.json    bits per character of n-grams and compressors on the held-out texts
    samples.jsonl     what the model wrote at each evaluation
    lock              held by the process that trains
    checkpoints/      Orbax checkpoints, named by step: the last, and the best on the held-out texts

Every file is whole at every moment: a new version is written beside it and put in its place.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import Params

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
_OWN_FILES = {
    "config.json",
    "vocabulary.json",
    "metrics.jsonl",
    "samples.jsonl",
    "baselines.json",
    "checkpoints",
    "lock",
}


class Run:
    """A run directory, open for reading, and for writing by the process that trains."""

    def __init__(self, path: Path, record: dict[str, Any], vocabulary: Vocabulary) -> None:
        """Use ``create`` or ``open``."""
        self.path, self.record, self.vocabulary = path, record, vocabulary
        self.config = Config.from_dict(record["config"])
        self._manager: Any = None
        self._writing = False
        self._lock: IO[str] | None = None

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a run was begun in this folder."""
        return (path / "config.json").is_file()

    @classmethod
    def create(cls, path: Path, config: Config, vocabulary: Vocabulary, texts: dict[str, Any], steps: int) -> Run:
        """Begin a run in a new or empty folder.

        Args:
          path: the folder.
          config: the settings.
          vocabulary: the vocabulary.
          texts: what identifies the texts; compared when the run goes on.
          steps: how many steps the run will take.

        Raises:
          InputError: the folder holds something else, or cannot be written.
        """
        if cls.exists(path):
            raise InputError(f"{path} already holds a run; name another folder, or move it aside with --fresh")
        check_free(path)
        record = {"format": FORMAT, "config": config.to_dict(), "texts": texts, "steps": steps}
        try:
            path.mkdir(parents=True, exist_ok=True)
            _write_json(path / "vocabulary.json", vocabulary.to_dict())
            _write_json(path / "config.json", record)  # last: with it the folder is a run
        except OSError as error:
            raise InputError(f"cannot write in {path}: {error.strerror}; name another folder with --workdir") from error
        return cls(path, record, vocabulary)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run for reading, or to go on with it.

        Raises:
          InputError: there is no run in the folder, or its files are damaged.
        """
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; train a model first: python train.py --workdir {path}")
        if not cls.exists(path):
            raise InputError(
                f"{path} holds no run (no config.json); train a model first: python train.py --workdir {path}"
            )
        record = _read_json(path / "config.json")
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"{path / 'config.json'} was not written by this version of flaxchar")
        try:
            return cls(path, record, Vocabulary.from_dict(_read_json(path / "vocabulary.json")))
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: a setting is missing or of the wrong kind ({error})") from error

    @property
    def steps(self) -> int:
        """How many steps the run takes in all."""
        return self.record["steps"]

    def check_settings(self, config: Config) -> None:
        """Raise ``InputError``, with a list, where a configuration differs from the one the run was begun with."""
        if changed := self.config.differences(config):
            listed = ", ".join(f"`{name}` was {ours!r} and is {theirs!r}" for name, ours, theirs in changed)
            raise InputError(
                f"the run in {self.path} was begun with other settings: {listed}; leave them out to go on with it, or "
                "begin anew with --fresh, which moves the old run aside"
            )

    def claim(self) -> None:
        """Be the only process that trains in this folder, until ``close`` or the end of the process, however it ends.

        Raises:
          InputError: another process is training in it.
        """
        if fcntl is None:
            return
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is training in {self.path}; wait for it, or stop it") from None
        except OSError as error:  # a file system without locks
            logging.getLogger(__name__).warning("%s cannot be locked: %s", self.path, error)

    def _checkpoints(self, writing: bool = False) -> Any:
        """Orbax' manager; once it has been asked for to write, it is one that writes and deletes."""
        # Imported here: Orbax takes as long to import as everything else, and `--help` needs none of it.
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        if self._manager is None or (writing and not self._writing):
            if self._manager is not None:
                self._manager.close()
            self._writing = writing
            # It warns of what is meant: of checkpoints saved between evaluations that they have no metrics.
            logging.getLogger("absl").setLevel(logging.ERROR)

            def quality(metrics: dict[str, float]) -> float:
                bits = metrics["bits_per_character"]
                return -math.inf if math.isnan(bits) else -bits

            best = checkpoint_managers.BestN(get_metric_fn=quality, n=1, keep_checkpoints_without_metrics=False)
            keep = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(1), best])
            if writing:
                (self.path / "checkpoints").mkdir(exist_ok=True)
            self._manager = ocp.CheckpointManager(
                (self.path / "checkpoints").absolute(),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=keep,
                    best_fn=quality,
                    best_mode="max",
                    read_only=not writing,
                    enable_async_checkpointing=False,
                    # Each process by itself: Orbax need not wait for those that do not write.
                    create=False,
                    multiprocessing_options=ocp.options.MultiprocessingOptions(
                        primary_host=jax.process_index(), active_processes={jax.process_index()}
                    )
                    if jax.process_count() > 1
                    else ocp.options.MultiprocessingOptions(),
                    cleanup_tmp_directories=writing,
                ),
            )
        return self._manager

    def save(
        self, step: int, params: Params, training: dict[str, Any] | None = None, bits_per_character: float | None = None
    ) -> None:
        """Save a checkpoint, whole or not at all, and delete those that are then neither the last nor the best.

        Args:
          step: how many steps it is the work of; saved before, it is not saved again.
          params: the parameters.
          training: what going on needs besides, a pytree of arrays; None for a model that will not go on.
          bits_per_character: the held-out result, where there is one.
        """
        import orbax.checkpoint as ocp

        manager = self._checkpoints(writing=True)
        if manager.latest_step() == step:
            return
        items = {"params": params} if training is None else {"params": params, "training": training}
        manager.save(
            step,
            args=ocp.args.Composite(
                # Copies: on a CPU, NumPy's view of an array is the array, which the next step reuses.
                **{name: ocp.args.StandardSave(jax.tree.map(np.array, item)) for name, item in items.items()}
            ),
            metrics=None if bits_per_character is None else {"bits_per_character": bits_per_character},
            force=True,
        )

    def last_step(self) -> int | None:
        """The step of the last checkpoint, or None."""
        return self._checkpoints().latest_step() if (self.path / "checkpoints").is_dir() else None

    def best(self) -> tuple[int, float | None] | None:
        """The step of the best checkpoint (of the last where none was evaluated) and its bits per character."""
        last = self.last_step()
        if last is None:
            return None
        manager = self._checkpoints()
        step = manager.best_step()
        if step is None:
            return last, None
        metrics = manager.metrics(step)
        return step, metrics["bits_per_character"] if metrics else None

    def restore(self, step: int, params: Params, training: dict[str, Any] | None = None) -> tuple[Params, Any]:
        """What ``save`` saved, bit for bit.

        Args:
          step: which checkpoint.
          params: parameters of the same structure and shapes.
          training: likewise; None to leave it where it is.

        Raises:
          InputError: the checkpoint is damaged, or has other parameters.
        """
        import orbax.checkpoint as ocp

        items = {"params": params} if training is None else {"params": params, "training": training}
        shapes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), items)
        try:
            found = self._checkpoints().restore(
                step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore(item) for name, item in shapes.items()})
            )
        except (ValueError, KeyError, OSError) as error:
            raise InputError(
                f"the checkpoint of step {step} in {self.path} is damaged, or of another version of flaxchar "
                "(--debug shows what could not be read)"
            ) from error
        # Copies: a step may reuse these buffers, which it must not where they are NumPy's.
        restored = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), {name: found[name] for name in items})
        return restored["params"], restored.get("training")

    def append(self, name: str, records: Iterable[dict[str, Any]]) -> None:
        """Add lines to ``metrics.jsonl`` or ``samples.jsonl``."""
        with (self.path / name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps that an interrupted run took after its last checkpoint: it takes them again."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            path = self.path / name
            if path.exists():
                lines = path.read_text(encoding="utf-8").split("\n")
                replace_file(path, "".join(line + "\n" for line in lines if _step_of(line, default=step + 1) <= step))

    def baselines(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What was measured with the held-out texts besides the model: kept, or measured now and kept."""
        path = self.path / "baselines.json"
        if not path.exists():
            _write_json(path, measure())
        return _read_json(path)

    def held_out_bits(self, step: int) -> list[float]:
        """Held-out bits per character of each evaluation up to a step."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        records = [json.loads(line) for line in lines if _step_of(line, default=step + 1) <= step]
        name = "held_out_bits_per_character"
        return [record[name] for record in records if name in record]

    def close(self) -> None:
        """Let go of the checkpoints and the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._manager is not None:
            self._manager.close()
            self._manager = None


def check_free(path: Path) -> None:
    """Raise ``InputError`` where a folder is no place for a new run: a file, or a folder with other things in it."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder; name another with --workdir")
    if path.is_dir() and (others := sorted(entry.name for entry in path.iterdir() if entry.name not in _OWN_FILES)):
        raise InputError(
            f"{path} is not empty and holds no run (it holds {others[0]}); name a new folder with --workdir"
        )


def move_aside(path: Path) -> Path:
    """Rename a run's folder to the first free ``NAME.1``, ``NAME.2`` … and return that."""
    path = path.absolute()
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


def _step_of(line: str, default: int) -> int:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return default  # the half-written last line of a run that was killed


def _write_json(path: Path, value: Any) -> None:
    replace_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Put a file in place whole: written beside it and renamed over it."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is damaged") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
