"""The run directory: everything a model consists of and how it was trained, in one folder that can be copied.

::

    config.json       settings, what identifies the texts, the number of steps, the stretches if it was trained further
    vocabulary.json   the tokens, in the order of their ids, and rare words from which unknown ones are spelled
    metrics.jsonl     training and held-out losses, one JSON object a line
    baselines.json    bits per character of n-grams and compressors on the held-out texts
    samples.jsonl     what the model wrote at each evaluation
    lock              held by the process that trains; says which it is, and since when
    checkpoints/      Orbax checkpoints, named by step: the last, and the best on the held-out texts

The JSON files and the checkpoints appear whole or not at all, and carry checksums, which are verified when they are
read. ``config.json`` is written last: it makes the folder a run. Lines are appended to the two ``.jsonl`` files. Those
after the last checkpoint, which an interrupted process has left, are removed by the next one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import init_params, make_model
from flaxchar.models.trained import TrainedModel, all_finite
from flaxchar.sizes import count_parameters
from flaxchar.storage import StorageError, sync_file
from flaxchar.training.checkpoints import Checkpoints, GoneError
from flaxchar.training.checksums import DamagedError
from flaxchar.training.folders import check_free, make_folder, remove_leftovers
from flaxchar.training.lock import FolderLock
from flaxchar.training.run_files import append_lines, forget_lines_after, read_lines, read_sealed, write_sealed
from flaxchar.training.run_record import read_record, read_run, write_record, write_run
from flaxchar.training.same_run import (
    changed_settings,
    check_settings,
    check_texts,
    check_vocabulary,
    relocated,
    with_paths,
)
from flaxchar.training.stretches import Stretch

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
# How often a reader begins anew because the run was replaced while it read.
_TRIES = 50


class Run:
    """A run directory, open for reading, and for writing by the process that trains.

    Attributes:
      path: the folder.
      record: the contents of ``config.json``.
      config: the settings.
      vocabulary: the vocabulary.
      checkpoints: the checkpoints.

    Example::

        run = Run.open(Path("runs/names"))
        run.config.model.hidden, run.steps, run.checkpoints.best()  # (128, 500, (400, 2.31))
        run.close()
    """

    def __init__(self, path: Path, record: dict[str, Any], vocabulary: Vocabulary) -> None:
        """Use ``create`` or ``open``."""
        self.path, self.record, self.vocabulary = path, record, vocabulary
        self.config = relocated(Config.from_dict(record["config"]), record.get("folder"), path)
        self.checkpoints = Checkpoints(path / "checkpoints", checked="checksums" in record)
        self._lock: FolderLock | None = None

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether the folder holds a run."""
        return (path / "config.json").is_file()

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        vocabulary: Vocabulary,
        texts: dict[str, Any],
        steps: int,
        lock: FolderLock | None = None,
    ) -> Run:
        """Begin a run in a new or empty folder.

        Args:
          path: the folder.
          config: the settings.
          vocabulary: the vocabulary.
          texts: what identifies the texts; compared when the run is resumed.
          steps: how many steps the run will take.
          lock: the lock of the folder, which the run then holds until ``close``; None to lock it only now.

        Raises:
          InputError: the folder holds something else, another process trains in it, or it cannot be a folder.
          StorageError: there is no room or no permission.
        """
        held = lock
        if cls.exists(path):
            raise InputError(f"{path} already holds a run; name another folder, or move that one away")
        if held is None:
            check_free(path)
            make_folder(path)
            held = FolderLock.acquire(path)
        try:
            if cls.exists(path):
                raise InputError(f"another process has begun a run in {path}; name another folder")
            check_free(path)
            remove_leftovers(path)
            record = write_run(path, config, vocabulary, texts, steps)
            run = cls(path, record, vocabulary)
            run._lock = lock
            return run
        finally:
            if lock is None:
                held.release()

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run, to read it or to go on with it.

        Raises:
          InputError: there is no run in the folder, or its files are damaged.
          StorageError: its files cannot be read.
        """
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; train a model in it first, with `workdir`")
        if not cls.exists(path):
            raise InputError(f"{path} holds no run yet (no config.json); train a model in it first, with `workdir`")
        record, vocabulary = read_run(path)
        try:
            return cls(path, record, vocabulary)
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: a setting is missing or of the wrong kind ({error})") from error

    @property
    def steps(self) -> int:
        """How many steps the run takes in all."""
        return self.record["steps"]

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The stretches that the run was trained in; one unless it was trained further."""
        saved = self.record.get("stretches")
        if saved is None:
            return (Stretch(self.steps, self.config.training.time_budget),)
        return tuple(Stretch(**stretch) for stretch in saved)

    def extend(self, stretches: Sequence[Stretch]) -> None:
        """Record that the run is trained further."""
        self.record["stretches"] = [stretch._asdict() for stretch in stretches]
        self.record["steps"] = stretches[-1].steps
        write_record(self.path, self.record)

    def record_paths(self, config: Config) -> None:
        """Record where the texts are now, if they have moved.

        Raises:
          InputError: another process is training in the folder.
        """
        recorded = self.record["config"]["data"]
        paths = {name: _plain(getattr(config.data, name)) for name in ("data", "val_data", "data_dir")}
        if paths == {name: _plain(recorded.get(name)) for name in paths}:
            return
        held = self._lock is not None
        try:
            self.claim()
            self.config = with_paths(self.config, config)
            recorded |= paths
            self.record["folder"] = str(self.path.absolute())
            write_record(self.path, self.record)
        except StorageError as error:  # a run that can only be read: the next command is told the path again
            logging.getLogger(__name__).warning("%s", error)
        finally:
            if not held:
                self._release()

    def check_settings(self, config: Config, preset: str | None = None, given: Collection[str] | None = None) -> None:
        """Compare a configuration with the one the run was begun with; see ``same_run.check_settings``."""
        check_settings(self.path, self.config, config, preset, given)

    def check_texts(self, texts: dict[str, Any]) -> None:
        """Compare what identifies some texts with the texts of the run; see ``same_run.check_texts``."""
        check_texts(self.path, self.record, self.vocabulary, texts)

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Compare the vocabulary of some texts with the run's own; see ``same_run.check_vocabulary``."""
        check_vocabulary(self.path, self.vocabulary, vocabulary)

    def claim(self) -> None:
        """Lock the folder for this process, until ``close`` or the end of the process, however it ends.

        Raises:
          InputError: another process is training in it, or has changed or replaced the run since it was opened.
        """
        if self._lock is not None:
            return
        lock = FolderLock.acquire(self.path)
        try:
            if not self.exists(self.path) or read_record(self.path) != self.record:
                raise InputError(
                    f"another process has just changed the run in {self.path}; give the command again to go on with it"
                )
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def recover(self) -> None:
        """Set damaged checkpoints aside, so that the newest whole one is the last. A warning names each.

        Raises:
          InputError: another process is training in the folder, or no checkpoint is whole.
        """
        damaged = {step: damage for step in self.checkpoints.steps() if (damage := self.checkpoints.damage(step))}
        whole = [step for step in self.checkpoints.steps() if step not in damaged]
        if damaged and not whole:
            raise InputError(
                f"{'; '.join(damaged.values())}; no checkpoint is whole: begin anew with `fresh`, which moves the old "
                "run aside"
            )
        for step, damage in damaged.items():
            self.claim()
            aside = self.checkpoints.set_aside(step)
            logging.getLogger(__name__).warning(
                "%s; it is now %s, and the run goes on from step %s", damage, aside.name, f"{whole[-1]:,}"
            )

    def load_model(self, newest: bool = False) -> TrainedModel:
        """Load the model of the best checkpoint, also while another process trains or begins anew.

        Args:
          newest: load that of the last checkpoint instead.

        Raises:
          InputError: there is no checkpoint yet, or the best one is damaged.
        """
        run: Run = self
        for _ in range(_TRIES):
            trained, damage = None, None
            try:
                trained = run._load(run.checkpoints.last_step()) if newest else run._load_best()
            except GoneError:
                pass
            except DamagedError as error:
                damage = error
            again = Run.open(self.path)
            if changed_settings(run.config, again.config) or run.vocabulary != again.vocabulary:
                trained = damage = None  # a new run took the folder meanwhile
            if damage is not None:
                raise DamagedError(f"{damage}{run._whole_checkpoint()}") from damage
            if trained is not None:
                return trained
            run = again
        raise InputError(f"{self.path} is being replaced again and again by another process")

    def _load_best(self) -> TrainedModel:
        best = self.checkpoints.best()
        return self._load(None if best is None else best[0])

    def _load(self, step: int | None) -> TrainedModel:
        if step is None:
            raise InputError(
                f"{self.path} holds no checkpoint yet: its training was stopped before the first was saved"
            )
        model = make_model(self.vocabulary, self.config.model)
        # Before shapes are computed, let alone allocated: settings of somebody else may claim any size.
        count = count_parameters(self.config.model, model.vocab, model.source_end is not None)
        self.checkpoints.check_size(step, count)
        params, _ = self.checkpoints.restore(step, jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
        if not all_finite(params):
            raise InputError(
                f"the model in {self.path} holds parameters that are not finite numbers: its training has diverged; "
                "train it anew with a lower `learning_rate`"
            )
        return TrainedModel(params, self.vocabulary, self.config)

    def _whole_checkpoint(self) -> str:
        """What to do where the best checkpoint is damaged and another one is whole; empty where none is."""
        whole = [step for step in self.checkpoints.steps() if self.checkpoints.damage(step) is None]
        if not whole:
            return ""
        return f"; that of step {whole[-1]} is whole: to use it instead, move the damaged folder away"

    def append(self, name: str, records: Iterable[dict[str, Any]]) -> None:
        """Append lines to ``METRICS`` or ``SAMPLES``."""
        append_lines(self.path / name, records)

    def read(self, name: str, until: int) -> list[dict[str, Any]]:
        """Records of ``METRICS`` or ``SAMPLES`` of steps up to ``until``."""
        return [json.loads(line) for line in read_lines(self.path / name, until)]

    def sync_lines(self) -> None:
        """Make the lines durable, before a checkpoint that comes after them is."""
        for name in (METRICS, SAMPLES):
            sync_file(self.path / name)

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps that an interrupted run took after its last checkpoint: it takes them again."""
        for name in (METRICS, SAMPLES):
            forget_lines_after(self.path / name, step)

    def baselines(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Bits per character of other models on the held-out texts: read, or measured now and kept."""
        path = self.path / "baselines.json"
        if path.exists():
            try:
                return read_sealed(path, required="checksums" in self.record)
            except DamagedError as error:
                logging.getLogger(__name__).warning("%s; the baselines are measured anew", error)
        table = measure()
        held = self._lock is not None
        try:
            self.claim()
            write_sealed(path, table)
        except InputError:  # another process trains here by now, perhaps on other texts
            pass
        finally:
            if not held:
                self._release()
        return table

    @property
    def has_baselines(self) -> bool:
        """Whether the baselines have been measured."""
        return (self.path / "baselines.json").exists()

    def close(self) -> None:
        """Release the lock and the checkpoints."""
        self._release()
        self.checkpoints.close()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
