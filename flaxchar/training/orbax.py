"""Orbax as it is used here: items of arrays in a folder, without its tracebacks; imported at the first use."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from flaxchar.storage import StorageError, own_cache_folder

# Characters that Orbax and TensorStore do not interpret in a path.
_UNAMBIGUOUS = re.compile(r"[\w./ +@,=~-]*")


class Orbax:
    """Writes and reads folders of arrays. Each process works by itself: those that do not write are not waited for."""

    def __init__(self) -> None:
        self._checkpointer: Any = None

    def save(self, folder: Path, items: Mapping[str, Any]) -> None:
        """Write items, pytrees of NumPy arrays by name, into a new folder."""
        import orbax.checkpoint as ocp

        args = ocp.args.Composite(**{name: ocp.args.StandardSave(item) for name, item in items.items()})
        with _quiet(), _plain(folder) as path:
            self._open().save(path, args=args)

    def restore(self, folder: Path, items: Mapping[str, Any]) -> Any:
        """Read items back; ``items`` gives their structure, shapes and dtypes.

        Raises:
          ValueError, KeyError, OSError: an item cannot be read, or is another.
        """
        import orbax.checkpoint as ocp

        args = ocp.args.Composite(**{name: ocp.args.StandardRestore(item) for name, item in items.items()})
        with _quiet(), _plain(folder) as path:
            return self._open().restore(path, args=args)

    def shapes(self, folder: Path) -> list[tuple[int, ...]]:
        """The shapes of an item's arrays, read without their values.

        Orbax stores an item as a database of Zarr arrays (https://google.github.io/tensorstore/kvstore/ocdbt). Orbax'
        own ``metadata`` would make TensorStore leak 5 KB for each array.

        Raises:
          Exception: whatever a damaged description leads to.
        """
        import tensorstore

        with _plain(folder) as path:
            base = {"driver": "file", "path": f"{path}/"}
            store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
            arrays = [key for key in store.list().result() if key.endswith(b"/.zarray")]
            return [tuple(json.loads(store[key])["shape"]) for key in arrays]

    def close(self) -> None:
        """Let go of Orbax' threads."""
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None

    def _open(self) -> Any:
        if self._checkpointer is None:
            # Imported here: Orbax takes as long to import as everything else, and `--help` needs none of it.
            import orbax.checkpoint as ocp

            alone = ocp.options.MultiprocessingOptions()
            if jax.process_count() > 1:
                this = jax.process_index()
                alone = ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
            handler = ocp.CompositeCheckpointHandler(
                composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
            )
            self._checkpointer = ocp.Checkpointer(handler, multiprocessing_options=alone)
        return self._checkpointer


def import_orbax() -> None:
    """Import Orbax, which takes most of a second, before the first checkpoint needs it."""
    import orbax.checkpoint  # noqa: F401


def reason(error: BaseException) -> str:
    """The system's reason for an error in a few words, also where Orbax has wrapped it."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StorageError):
            return str(cause)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """The path of a folder; if it holds characters that Orbax or TensorStore interprets, of a temporary link to it.

    Orbax takes ``[v2]`` for a pattern, a backslash for a slash and ``gs:`` for a place on the web, and then loses files
    without a word. TensorStore refuses ``..``.

    Raises:
      StorageError: no temporary link can be made.
    """
    path = Path(os.path.realpath(folder))
    if _UNAMBIGUOUS.fullmatch(str(path)):
        yield path
        return
    link = _link_to(path.parent)
    try:
        yield link / path.name
    finally:
        with contextlib.suppress(OSError):
            link.unlink()


def _link_to(folder: Path) -> Path:
    """Make a temporary link to a folder, in the first place that has an unambiguous path itself and takes a link."""
    name, why = f"flaxchar-{secrets.token_hex(16)}", "the paths of all of them hold such characters"
    for place in _temporary_folders():
        link = Path(os.path.realpath(place)) / name
        if _UNAMBIGUOUS.fullmatch(str(link)):
            try:
                link.symlink_to(folder)
            except OSError as error:
                why = f"{place}: {error.strerror}"
            else:
                return link
    raise StorageError(
        f"{folder} cannot be opened: its path holds characters that Orbax interprets, and no link to it can be made in "
        f"a temporary folder ({why})"
    )


def _temporary_folders() -> Iterator[str | Path]:
    with contextlib.suppress(OSError):  # there is none that can be written to
        yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp")
    if (cache := own_cache_folder()) is not None:
        yield cache


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Orbax' background threads from printing tracebacks: the error itself is raised in the calling thread too.

    The threads of a call that has failed go on for a while, so what they print stays suppressed from then on.
    """
    before = sys.unraisablehook, threading.excepthook
    noise = _Noise(*before)
    logger = logging.getLogger("absl")
    logger.addFilter(noise.keep_record)
    sys.unraisablehook, threading.excepthook = noise.of_callback, noise.of_thread
    yield  # an error leaves everything as it is
    logger.removeFilter(noise.keep_record)
    sys.unraisablehook, threading.excepthook = before


class _Noise:
    """Hooks that drop what comes from Orbax' threads and pass on everything else."""

    def __init__(self, callback_hook: Callable[..., Any], thread_hook: Callable[..., Any]) -> None:
        self._callback_hook, self._thread_hook = callback_hook, thread_hook

    def keep_record(self, record: logging.LogRecord) -> bool:
        """Whether a log record comes from elsewhere."""
        return "_SignalingThread" not in str(record.msg)

    def of_thread(self, error: threading.ExceptHookArgs) -> None:
        """An error that ends a thread."""
        if not type(error.thread).__module__.startswith("orbax."):
            self._thread_hook(error)

    def of_callback(self, error: Any) -> None:
        """An error in a callback, which no Python code can catch: TensorStore calls an event loop that is gone."""
        if str(error.exc_value) != "Event loop is closed":
            self._callback_hook(error)
