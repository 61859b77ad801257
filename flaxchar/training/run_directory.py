"""The run directory: everything a model consists of and how it was trained, in one folder that can be copied.

::

    config.json       settings, what identifies the texts, the number of steps, the stretches if it was trained further
    vocabulary.json   the tokens, in the order of their ids, and rare words from which unknown ones are spelled
    metrics.jsonl     training and held-out losses, one JSON object a line
    baselines.json    bits per character of n-grams and compressors on the held-out texts
    samples.jsonl     what the model wrote at each evaluation
    lock              held by the process that trains
    checkpoints/      Orbax checkpoints, named by step: the last, and the best on the held-out texts

The JSON files and the checkpoints appear whole or not at all. Lines are appended to the two ``.jsonl`` files: a process
that is killed may leave a half-written last line there, which readers skip and the next process removes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import filelock
import jax

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary, vocabulary_from_format_1
from flaxchar.models.charlm import init_params, make_model
from flaxchar.models.trained import TrainedModel, all_finite
from flaxchar.storage import replace_file
from flaxchar.training.checkpoints import Checkpoints
from flaxchar.training.folders import check_free
from flaxchar.training.same_run import changed_settings, list_changes, relocated, with_paths
from flaxchar.training.stretches import Stretch

FORMAT = 2
# The version that reads format 1 in full; this one reads finished runs of it, and goes on with some.
FORMAT_1_VERSION = "flaxchar 0.1.0 at commit bf90fbd"
METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"


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
        self.checkpoints = Checkpoints(path / "checkpoints")
        self._lock: filelock.BaseFileLock | None = None

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether the folder holds a run."""
        return (path / "config.json").is_file()

    @classmethod
    def create(cls, path: Path, config: Config, vocabulary: Vocabulary, texts: dict[str, Any], steps: int) -> Run:
        """Begin a run in a new or empty folder.

        Args:
          path: the folder.
          config: the settings.
          vocabulary: the vocabulary.
          texts: what identifies the texts; compared when the run is resumed.
          steps: how many steps the run will take.

        Raises:
          InputError: the folder holds something else, or cannot be written.
        """
        if cls.exists(path):
            raise InputError(f"{path} already holds a run; name another folder, or move it aside with `fresh`")
        check_free(path)
        record = {
            "format": FORMAT,
            "config": config.to_dict(),
            "texts": texts,
            "steps": steps,
            "folder": str(path.absolute()),
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
            _write_json(path / "vocabulary.json", vocabulary.to_dict())
            _write_json(path / "config.json", record)  # last: this file makes the folder a run
        except OSError as error:
            raise InputError(f"cannot write in {path}: {error.strerror}; name another folder as `workdir`") from error
        return cls(path, record, vocabulary)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run, to read it or to go on with it.

        Raises:
          InputError: there is no run in the folder, or its files are damaged.
        """
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; train a model in it first, with `workdir`")
        if not cls.exists(path):
            raise InputError(f"{path} holds no run (no config.json); train a model in it first, with `workdir`")
        record = _read_json(path / "config.json")
        if not isinstance(record, dict) or record.get("format") not in (1, FORMAT):
            raise InputError(f"{path / 'config.json'} was not written by this version of flaxchar")
        try:
            return cls(path, record, _read_vocabulary(path, record))
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
        _write_json(self.path / "config.json", self.record)

    def record_paths(self, config: Config) -> None:
        """Record where the texts are now, if they have moved."""
        recorded = self.record["config"]["data"]
        paths = {name: _plain(getattr(config.data, name)) for name in ("data", "val_data", "data_dir")}
        if paths == {name: _plain(recorded.get(name)) for name in paths}:
            return
        self.config = with_paths(self.config, config)
        recorded |= paths
        self.record["folder"] = str(self.path.absolute())
        try:
            _write_json(self.path / "config.json", self.record)
        except OSError as error:  # a run that can only be read: the next command is told the path again
            logging.getLogger(__name__).warning("%s cannot be written: %s", self.path, error)

    def check_settings(self, config: Config, preset: str | None = None, given: Collection[str] | None = None) -> None:
        """Compare a configuration with the one the run was begun with, without its length and its paths.

        Args:
          config: the configuration.
          preset: the preset that it begins with, if the user named one.
          given: names of the settings that the user gave; None if that is not known.

        Raises:
          InputError: they differ; the message lists all differences.
        """
        if changes := changed_settings(self.config, config):
            raise InputError(
                f"the run in {self.path} was begun with other settings: {list_changes(changes, preset, given)}; leave "
                "them out to go on with it, or begin anew with `fresh`, which moves the old run aside"
            )

    def check_texts(self, texts: dict[str, Any]) -> None:
        """Compare what identifies some texts with the texts that the run was begun with.

        Raises:
          InputError: the texts differ, or the run has none because its model was saved by itself.
        """
        if not self.record["texts"]:
            raise InputError(f"{self.path} holds a model that was saved by itself: there is no training to go on with")
        if self.record["texts"]["sha256"] == texts["sha256"]:
            return
        if self.record["format"] == 1 and (self.vocabulary.labels or self.vocabulary.source_end is not None):
            # In format 1 the hash of texts with labels or sources was computed in another way.
            raise InputError(
                f"{self.path} holds an unfinished run of an older version with labels or sources; finish it with "
                f"{FORMAT_1_VERSION}, or begin anew with `fresh`, which moves the old run aside"
            )
        raise InputError(
            f"the texts have changed since the run in {self.path} was begun; bring them back, or begin anew with "
            "`fresh`, which moves the old run aside"
        )

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Compare the vocabulary of some texts, encoded to go on with the run, with the run's own.

        Raises:
          InputError: they differ, because an older version began the run and the texts were not encoded like it.
        """
        if (vocabulary.word_rule, vocabulary.spelling) != (self.vocabulary.word_rule, self.vocabulary.spelling):
            raise InputError(
                f"{self.path} holds a run of an older version, which cut words otherwise or did not count the spelling "
                "of unknown ones; begin anew with `fresh`, which moves the old run aside"
            )

    def claim(self) -> None:
        """Lock the folder for this process, until ``close`` or the end of the process, however it ends.

        Raises:
          InputError: another process is training in it.
        """
        if self._lock is not None:
            return
        lock = filelock.FileLock(self.path / "lock", blocking=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(f"another process is training in {self.path}; wait for it, or stop it") from None
        except (OSError, NotImplementedError) as error:  # a file system without locks
            logging.getLogger(__name__).warning("%s cannot be locked: %s", self.path, error)
        else:
            self._lock = lock

    def load_model(self) -> TrainedModel:
        """Load the model of the best checkpoint.

        Raises:
          InputError: there is no checkpoint yet, or it is damaged.
        """
        best = self.checkpoints.best()
        if best is None:
            raise InputError(
                f"{self.path} holds no checkpoint yet: its training was stopped before the first was saved"
            )
        model = make_model(self.vocabulary, self.config.model)
        params, _ = self.checkpoints.restore(best[0], jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
        if not all_finite(params):
            raise InputError(
                f"the model in {self.path} holds parameters that are not finite numbers: its training has diverged; "
                "train it anew with a lower `learning_rate`"
            )
        return TrainedModel(params, self.vocabulary, self.config)

    def append(self, name: str, records: Iterable[dict[str, Any]]) -> None:
        """Append lines to ``METRICS`` or ``SAMPLES``."""
        with (self.path / name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)

    def read(self, name: str, until: int) -> list[dict[str, Any]]:
        """Records of ``METRICS`` or ``SAMPLES`` of steps up to ``until``."""
        return [json.loads(line) for line in self._lines(name, until)]

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps that an interrupted run took after its last checkpoint: it takes them again."""
        for name in (METRICS, SAMPLES):
            if (self.path / name).exists():
                replace_file(self.path / name, "".join(line + "\n" for line in self._lines(name, step)))

    def _lines(self, name: str, until: int) -> list[str]:
        """Whole lines of a file whose step is ``until`` or less; none where there is no file."""
        path = self.path / name
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        return [line for line in lines if _step_of(line, default=until + 1) <= until]

    def baselines(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Bits per character of other models on the held-out texts: read, or measured now and kept."""
        path = self.path / "baselines.json"
        if not path.exists():
            _write_json(path, measure())
        return _read_json(path)

    @property
    def has_baselines(self) -> bool:
        """Whether the baselines have been measured."""
        return (self.path / "baselines.json").exists()

    def close(self) -> None:
        """Release the lock and the checkpoints."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self.checkpoints.close()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _read_vocabulary(path: Path, record: dict[str, Any]) -> Vocabulary:
    """Read a run's vocabulary, in the format of its version."""
    values = _read_json(path / "vocabulary.json")
    if record["format"] == FORMAT:
        return Vocabulary.from_dict(values)
    config = record["config"]
    sourced = config["data"]["source_field"] is not None or config["model"]["head"] == "classifier"
    return vocabulary_from_format_1(values, labelled="labels" in values, sourced=sourced)


def _step_of(line: str, default: int) -> int:
    """The step of a line of a ``.jsonl`` file; ``default`` for a half-written line."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return default


def _write_json(path: Path, value: Any) -> None:
    replace_file(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is damaged") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
