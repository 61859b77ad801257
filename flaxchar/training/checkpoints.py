"""Checkpoints of a run, by Orbax: the last one, and the best one on the held-out texts.

A checkpoint is a folder named by its step, ``checkpoints/60``. Its files are written into a folder
of another name, the checksums last. The folder is synchronised with the disk and only then renamed to its step. Before
a checkpoint is deleted, it is renamed too. So a folder named by a step is always a whole checkpoint, also after a kill
or a power cut.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.config import InputError
from flaxchar.models.charlm import Params
from flaxchar.storage import StorageError, sync_folder, sync_tree
from flaxchar.training.checksums import DamagedError, check_files, read_checksums, write_checksums
from flaxchar.training.orbax import Orbax, reason

# The file of a checkpoint with its held-out result.
_METRICS = "metrics/metrics"


class GoneError(InputError):
    """A checkpoint was replaced by the process that trains, between listing and reading."""


class Checkpoints:
    """The checkpoints in a folder, named by step. A checkpoint is saved whole or not at all."""

    def __init__(self, path: Path, checked: bool = False) -> None:
        """Open a folder, which need not exist before the first ``save``.

        Args:
          path: the folder.
          checked: whether a checkpoint without checksums is damaged; False for runs of older versions.
        """
        self._path, self._checked = path.absolute(), checked
        self._orbax = Orbax()
        self._cleaned = False
        self._verified: dict[Any, set[str]] = {}  # folder → the files that match their checksums

    def save(
        self, step: int, params: Params, training: dict[str, Any] | None = None, bits_per_character: float | None = None
    ) -> None:
        """Save a checkpoint, and delete those that are then neither the last nor the best.

        Args:
          step: steps taken so far. A step that is already a checkpoint is not saved again.
          params: the parameters.
          training: a pytree of arrays that the run needs to go on; None for a model that will not be trained further.
          bits_per_character: the held-out result, where there is one.

        Raises:
          StorageError: there is no room or no permission; the checkpoints before are unchanged.
        """
        if step in self.steps():
            return
        items = {"params": params} if training is None else {"params": params, "training": training}
        # Copies: on a CPU, NumPy's view of an array is the array itself, whose buffer the next step reuses.
        copies = {name: jax.tree.map(np.array, item) for name, item in items.items()}
        try:
            self._clean()
            self._write(step, copies, bits_per_character)
            self._delete_superseded()
        except InputError:
            raise
        except Exception as error:  # Orbax wraps the system's errors in others
            raise StorageError(
                f"cannot save the checkpoint of step {step} in {self._path}: {reason(error)}; training "
                "goes on from the last checkpoint when it is started again"
            ) from error

    def _write(self, step: int, items: dict[str, Any], bits_per_character: float | None) -> None:
        """Write a checkpoint under another name, make it durable, and name it."""
        temporary = Path(tempfile.mkdtemp(prefix=f".{step}.", dir=self._path))
        try:
            new = temporary / "checkpoint"
            self._orbax.save(new, items)
            for name, item in items.items():
                if sorted(self._orbax.shapes(new / name)) != sorted(leaf.shape for leaf in jax.tree.leaves(item)):
                    raise StorageError(f"`{name}` was not written whole")
            if bits_per_character is not None:
                (new / _METRICS).parent.mkdir()
                (new / _METRICS).write_text(json.dumps({"bits_per_character": bits_per_character}))
            write_checksums(new)
            sync_tree(new)
            new.rename(self._path / str(step))
            sync_folder(self._path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def steps(self) -> list[int]:
        """The steps of all checkpoints, in order."""
        try:
            names = [name for name in os.listdir(self._path) if name.isascii() and name.isdigit()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read: {error.strerror}") from error
        return sorted(int(name) for name in names if name == str(int(name)))  # 0070 is no checkpoint's name

    def last_step(self) -> int | None:
        """The step of the last checkpoint; None where there is none."""
        return max(self.steps(), default=None)

    def best(self) -> tuple[int, float | None] | None:
        """The step of the best checkpoint and its bits per character; where none was evaluated, the last step.

        Raises:
          DamagedError: the result of a checkpoint is damaged.
          GoneError: a checkpoint was replaced meanwhile.
        """
        steps = self.steps()
        results = {step: bits for step in steps if (bits := self._result(step)) is not None}
        if not results:
            return (steps[-1], None) if steps else None
        # The first of several that are equally good, which is the one whose parameters training has kept.
        best = min(results, key=lambda step: (math.inf if math.isnan(results[step]) else results[step], step))
        return best, results[best]

    def check_size(self, step: int, parameters: int) -> None:
        """Compare the number of parameters that settings and vocabulary make with a checkpoint's, reading none of them.

        Raises:
          DamagedError: they differ, or the checkpoint is damaged.
          GoneError: the checkpoint was replaced meanwhile.
          StorageError: the checkpoint cannot be opened.
        """
        with self._reading(step) as folder:
            self._check(step, ("params/",))
            try:
                saved = sum(math.prod(shape) for shape in self._orbax.shapes(folder / "params"))
            except StorageError:
                raise
            except Exception as error:  # Orbax' own: whatever a damaged description leads to
                raise DamagedError("its description cannot be read") from error
        if saved != parameters:
            raise DamagedError(
                f"the checkpoint of step {step} in {self._path} has {saved:,} parameters, but the settings and the "
                f"vocabulary beside it make {parameters:,}: one of them is damaged"
            )

    def restore(self, step: int, params: Params, training: dict[str, Any] | None = None) -> tuple[Params, Any]:
        """Read back what ``save`` was given, to the bit.

        Args:
          step: which checkpoint.
          params: parameters of the same structure, shapes and dtypes; their values do not matter.
          training: the same for ``training``; None to leave it unread.

        Raises:
          DamagedError: the checkpoint is damaged, or has other parameters.
          GoneError: the checkpoint was replaced meanwhile.
          StorageError: the checkpoint cannot be opened.
        """
        items = {"params": params} if training is None else {"params": params, "training": training}
        shapes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), items)
        with self._reading(step) as folder:
            self._check(step, tuple(f"{name}/" for name in items))
            try:
                read = self._orbax.restore(folder, shapes)
            except StorageError:
                raise
            except (ValueError, KeyError, OSError) as error:
                raise DamagedError(
                    "it cannot be read, or was written by another version of flaxchar (`debug` shows what could not "
                    "be read)"
                ) from error
            if jax.tree.map(np.shape, {name: read[name] for name in items}) != jax.tree.map(np.shape, shapes):
                raise DamagedError("its arrays have other shapes than the settings and the vocabulary beside it make")
        # Copies: a step reuses its arguments' buffers, which it must not do with NumPy's.
        restored = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), {name: read[name] for name in items})
        return restored["params"], restored.get("training")

    def damage(self, step: int) -> str | None:
        """Compare all files of a checkpoint with their checksums.

        Returns:
          A sentence that names the damage; None where the checkpoint is whole.
        """
        try:
            self._result(step)
            with self._reading(step):
                self._verified.clear()
                self._check(step)
        except (DamagedError, StorageError) as error:
            return str(error)
        return None

    def set_aside(self, step: int) -> Path:
        """Rename a checkpoint, so that it is none any more, and return its new path."""
        number = 0
        while os.path.lexists(aside := self._path / f"{step}.damaged{f'.{number}' if number else ''}"):
            number += 1
        (self._path / str(step)).rename(aside)
        sync_folder(self._path)
        return aside

    def close(self) -> None:
        """Let go of Orbax."""
        self._orbax.close()

    def _result(self, step: int) -> float | None:
        """The held-out bits per character of a checkpoint; None where there is no result."""
        with self._reading(step) as folder:
            self._check(step, (_METRICS,))
            try:
                return float(json.loads((folder / _METRICS).read_bytes())["bits_per_character"])
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise StorageError(f"{folder / _METRICS} cannot be read: {error.strerror}") from error
            except (ValueError, TypeError, KeyError) as error:
                raise DamagedError(f"{_METRICS} cannot be read") from error

    def _check(self, step: int, within: tuple[str, ...] = ("",)) -> None:
        folder = self._path / str(step)
        digests = read_checksums(folder)
        if digests is not None:
            seen = self._verified.setdefault(_identity(folder), set())  # weights are read twice, and hashed once
            check_files(folder, {name: digest for name, digest in digests.items() if name not in seen}, within)
            seen.update(name for name in digests if name.startswith(within))
        elif self._checked:
            raise DamagedError("its checksums are missing")

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[Path]:
        """The folder of a checkpoint, to read in; tells a damaged checkpoint from one that was replaced meanwhile."""
        folder = self._path / str(step)
        before = _identity(folder)
        if before is None and folder.is_symlink():
            raise StorageError(
                f"{folder} is a symbolic link that cannot be followed; restore its target or remove the link"
            )
        try:
            yield folder
        except DamagedError as error:
            if before is None or _identity(folder) != before:
                raise GoneError(
                    f"the checkpoint of step {step} in {self._path} was replaced while it was read"
                ) from error
            raise DamagedError(f"the checkpoint of step {step} in {self._path} is damaged: {error}") from error

    def _clean(self) -> None:
        """Before the first checkpoint is written: make the folder, and remove what a killed process left in it."""
        if self._cleaned:
            return
        if self._path.is_symlink():
            raise StorageError(f"{self._path} is a symbolic link, and nothing is written through links")
        if not self._path.is_dir():
            self._path.mkdir()
            sync_folder(self._path.parent)
        for entry in self._path.iterdir():
            if entry.name.startswith(".") or ".orbax-checkpoint-tmp" in entry.name:
                _remove(entry)
        self._cleaned = True

    def _delete_superseded(self) -> None:
        """Delete the checkpoints that are neither the last nor the best."""
        try:
            best = self.best()
        except (DamagedError, StorageError) as error:  # the new one is saved; the best of the others is not known
            logging.getLogger(__name__).warning("%s; no checkpoint is deleted", error)
            return
        assert best is not None
        for step in self.steps()[:-1]:
            if step != best[0]:
                doomed = Path(tempfile.mkdtemp(prefix=f".{step}.", dir=self._path)) / "superseded"
                (self._path / str(step)).rename(doomed)
                sync_folder(self._path)  # the name goes before the content, whatever happens
                _remove(doomed.parent)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another that has its name later; None where there is none."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove(path: Path) -> None:
    """Remove a folder with everything in it, or a file or link; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
