"""Set-up of a command's process: memory allocator, devices, compilation cache, garbage collector, multi-process jobs.

Only the commands call this, before JAX looks for devices; ``import flaxchar`` changes nothing in its process.
Environment variables of the user take precedence.
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

# When the process started; a time budget counts from here. So far the process has only computed, so its CPU time is its
# age.
STARTED = time.monotonic() - time.process_time()
# Seconds from the last line of a command to the shell's prompt.
EXIT_SECONDS = 0.4

# The most run directories that an error suggests.
_SHOWN_RUNS = 3

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 1 << 30


class Job(NamedTuple):
    """The processes that train together. JAX asks Slurm, Kubernetes, Open MPI or the TPU pod for values that are None.

    Attributes:
      coordinator: ``HOST:PORT`` of the first process.
      processes: number of processes.
      process_id: number of this process, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None


def prepare(devices: int | None = None) -> None:
    """Set up this process and start the native kernel; imports JAX.

    Args:
      devices: number of JAX devices that the CPU is divided into, if there is no accelerator; None for one.
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
    """Compile the native kernel in the background if the cache has none, and say so on stderr.

    Call it after the arguments are checked, and before JAX looks for devices: it also tells JAX to run each step in the
    calling thread. ``devices`` as for ``prepare``.
    """
    import jax

    from flaxchar.kernels import build

    if build.prepare(devices) and jax.process_index() == 0:
        print("compiling the native kernel for this processor (once, a few seconds)", file=sys.stderr, flush=True)


def saved_config(workdir: str) -> Config:
    """Set up the process, and return the settings of the model in a run directory.

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
    """Runs that a path without a run may mean: of its name in ``runs``, in its folder, or similarly named beside it."""
    from flaxchar.training.run_directory import Run

    def runs(folder: Path) -> list[Path]:
        try:
            return sorted(entry for entry in folder.iterdir() if Run.exists(entry))
        except OSError:
            return []

    if not path.is_absolute() and Run.exists(usual := Path("runs") / path):  # only the name of a run
        return [str(usual)]
    beside = {run.name: str(run) for run in runs(path.parent)}
    similar = difflib.get_close_matches(path.name, beside, _SHOWN_RUNS)
    return [str(run) for run in runs(path)[:_SHOWN_RUNS]] or [beside[name] for name in similar]


def load_model(workdir: str) -> LanguageModel:
    """Set up the process, and load the model of a run directory.

    Raises:
      InputError: there is no model in the folder.
    """
    saved_config(workdir)  # raises an error for a wrong folder before anything is compiled
    start_kernel()
    from flaxchar.library import load

    return load(workdir)


def collect_garbage_less_often() -> None:
    """Raise the threshold of Python's garbage collector to 10,000 new objects; the default of Python 3.11 is 700.

    Imports and tracing make hundreds of thousands of objects that stay alive. Scanning them again and again takes a
    tenth of the time to the first step.
    """
    if gc.get_threshold()[0] < 10_000:
        gc.set_threshold(10_000)


def divide_cpu(devices: int) -> None:
    """Divide the CPU into several JAX devices. Each runs the same program with one thread."""
    # XLA's thread pool has one thread per core. Devices that wait for each other could block all of them.
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
      InputError: the other processes cannot be determined.
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
    """Tell XLA to use only deterministic programs on a GPU, without autotuning.

    With autotuning XLA times several programs for each matrix product and keeps the fastest. The choice changes from
    start to start, and with it the last bits of a run. Autotuning also takes most of a start: the first step of a run
    on an H200 came after 54 s, and after 10 s without it. ``docs/decisions/gpu.md`` compares the speed of both.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    installed = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    if installed and "xla_gpu_deterministic_ops" not in flags and "xla_gpu_autotune_level" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def keep_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the system.

    XLA allocates new buffers for each step. By default glibc returns large buffers to the system, which must map and
    clear them again. That takes a fifth to a third of a training step.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or not Linux
        return
    # Use one arena, because only the first arena can hold buffers of any size.
    for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, 2 * _LARGE - 1)):
        mallopt(parameter, value)


def keep_compiled_programs() -> None:
    """Keep JAX's compiled programs in the user's cache folder, so that the next command starts much faster."""
    import jax

    from flaxchar.kernels import build

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # One folder for each kind of processor: JAX's cache key leaves it out, and machines may share a home folder.
        folder = own_cache_folder("compiled", build.processor())
        if folder is None or not os.access(folder, os.W_OK):
            return  # no usable cache folder: each command compiles again
        jax.config.update("jax_compilation_cache_dir", str(folder))
        _replace_damaged_programs(folder)
        # Keep small programs too: compiling all of them takes most of a second.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _replace_damaged_programs(folder: Path) -> None:
    """Delete a compiled program that JAX cannot read, instead of showing JAX's warning.

    JAX detects the damage by a checksum, warns, and compiles the program again. But it would leave the damaged file in
    the cache forever.
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
