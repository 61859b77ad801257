"""Set-up of a command's process: memory allocation, devices, compiled programs, and the job it belongs to.

Only the commands call this, before JAX looks for devices; ``import flaxchar`` changes nothing in its process. Variables
that the user has set in the environment are respected.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import gc
import glob
import importlib.util
import os
import re
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flaxchar.config import Config, InputError
from flaxchar.storage import own_cache_folder

if TYPE_CHECKING:
    from flaxchar.language_model import LanguageModel

# The start of the process, from which a time budget counts: until now it has done nothing but compute.
STARTED = time.monotonic() - time.process_time()
# Seconds from the last line of a command to the prompt.
EXIT_SECONDS = 0.4

# Folders that are named where one without a run was given.
_SHOWN_RUNS = 3

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 1 << 30


class Job(NamedTuple):
    """The processes that train together; None is found out from Slurm, Kubernetes, Open MPI or the TPU pod.

    Attributes:
      coordinator: ``HOST:PORT`` of the first process.
      processes: how many processes there are.
      process_id: which of them this is, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None


def prepare(devices: int | None = None) -> None:
    """Set up this process and start the native kernel; imports JAX.

    Args:
      devices: into how many devices JAX divides the CPU, if there is no accelerator; None for one.
    """
    set_up(devices)
    start_kernel(devices)


def set_up(devices: int | None = None) -> None:
    """Set up this process; imports JAX, prints and compiles nothing. ``devices`` as for ``prepare``."""
    keep_memory()
    if devices is not None and devices > 1:
        divide_cpu(devices)
    compute_alike()
    keep_compiled_programs()


def start_kernel(devices: int | None = None) -> None:
    """Compile the native kernel in the background if this machine has none yet, and say so.

    Call it when the arguments are known to be good, and before JAX looks for devices, because it also tells JAX to run
    each step in the calling thread. ``devices`` as for ``prepare``.
    """
    import jax

    from flaxchar.kernels import build

    if build.prepare(devices) and jax.process_index() == 0:
        print("compiling the native kernel for this processor (once, a few seconds)", file=sys.stderr, flush=True)


def saved_config(workdir: str) -> Config:
    """The settings of the model in a run directory, in a process that is set up for it.

    Raises:
      InputError: there is no run in the folder.
    """
    set_up()
    from flaxchar.training.run_directory import Run

    path = Path(workdir)
    if not Run.exists(path) and (near := _runs_near(path)):
        raise InputError(f"there is no run in {path}; did you mean {', '.join(near)}?")
    run = Run.open(path)
    run.close()
    return run.config


def _runs_near(path: Path) -> list[str]:
    """Folders with a run that a path without one may mean: in it, of its name in ``runs``, or beside it and similar."""
    from flaxchar.training.run_directory import Run

    def runs(folder: Path) -> list[Path]:
        try:
            return sorted(entry for entry in folder.iterdir() if Run.exists(entry))
        except OSError:
            return []

    if not path.is_absolute() and Run.exists(usual := Path("runs") / path):  # the name of a run alone
        return [str(usual)]
    beside = {run.name: str(run) for run in runs(path.parent)}
    similar = difflib.get_close_matches(path.name, beside, _SHOWN_RUNS)
    return [str(run) for run in runs(path)[:_SHOWN_RUNS]] or [beside[name] for name in similar]


def load_model(workdir: str) -> LanguageModel:
    """Load the model of a run directory, in a process that is set up for it.

    Raises:
      InputError: there is no model in the folder.
    """
    saved_config(workdir)  # complains about a wrong folder before anything is compiled
    start_kernel()
    from flaxchar.library import load

    return load(workdir)


def collect_garbage_less_often() -> None:
    """Raise the threshold of Python's garbage collector from 700 new objects to 10,000.

    Imports and tracing make hundreds of thousands of objects that stay; looking through them again and again takes a
    tenth of the time to the first step.
    """
    if gc.get_threshold()[0] < 10_000:
        gc.set_threshold(10_000)


def divide_cpu(devices: int) -> None:
    """Divide the CPU into several JAX devices. Each runs the same program with one thread."""
    # XLA's thread pool has a thread per core; devices that wait for each other would occupy all of them.
    os.environ.setdefault("NPROC", str(max(os.cpu_count() or 1, 2 * devices)))
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()

    import jax

    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", devices)


def join(job: Job) -> None:
    """Join the other processes of a job.

    Raises:
      InputError: nothing tells which processes there are.
    """
    import jax

    try:
        jax.distributed.initialize(*job)
    except ValueError as error:
        raise InputError(
            f"the other processes cannot be found ({str(error).splitlines()[0]}); name them with "
            '`coordinator="HOST:PORT"`, `processes` and `process_id`'
        ) from error


def compute_alike() -> None:
    """Tell XLA to use only deterministic programs on a GPU, and to choose them by rule.

    By default XLA runs each matrix product in several ways and keeps the fastest. The choice changes from start to
    start, and with it the last bits of a run. It also takes most of the time of a start: the first step of a run on an
    H200 came after 54 s, and by rule after 10 s. ``docs/decisions/gpu.md`` has the speed of both.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    installed = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    if installed and "xla_gpu_deterministic_ops" not in flags and "xla_gpu_autotune_level" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def keep_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the system.

    XLA allocates the buffers of each step anew. By default glibc returns large ones to the system, which must map and
    clear them again: a fifth to a third of a training step.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library or system
        return
    # One arena, because only the first arena can hold buffers of any size.
    for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, 2 * _LARGE - 1)):
        mallopt(parameter, value)


def keep_compiled_programs() -> None:
    """Keep JAX's compiled programs in the user's cache folder, which saves most of the next command's start."""
    import jax

    from flaxchar.kernels import build

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Programs are compiled for one kind of processor. JAX's own key leaves it out, and machines may share a home.
        folder = own_cache_folder("compiled", build.processor())
        if folder is None or not os.access(folder, os.W_OK):
            return  # no place to keep them: every command compiles anew
        jax.config.update("jax_compilation_cache_dir", str(folder))
        _replace_damaged_programs(folder)
        # Keep the many small programs too; together they take most of a second.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _replace_damaged_programs(folder: Path) -> None:
    """Delete a compiled program that JAX cannot read, instead of showing JAX's warning.

    JAX finds the damage by the checksum in the file, warns and compiles, but would leave the file there for ever.
    """
    show_others = warnings.showwarning

    def show(message: Warning | str, *arguments: Any, **others: Any) -> None:
        match = re.match(r"Error (?:reading|writing) persistent compilation cache entry for '([^']+)'", str(message))
        if match is None:
            show_others(message, *arguments, **others)
            return
        for path in folder.glob(f"{glob.escape(match[1])}-*-cache"):
            with contextlib.suppress(OSError):
                path.unlink()

    warnings.filterwarnings("always", "Error (reading|writing) persistent compilation cache entry")
    warnings.showwarning = show
