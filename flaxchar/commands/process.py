"""What a command sets for its own process: how memory is kept, what is compiled where, how JAX hands over work.

Only the commands call this, before JAX is imported; ``import flaxchar`` changes nothing in the process it comes to.
What the user has set in the environment is left as it is.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import platformdirs

# glibc's numbers of what mallopt sets (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 1 << 30
# Objects made and not let go of after which Python looks for those that only refer to each other.
_COLLECT_AFTER = 10_000


def prepare(devices: int | None = None, together: tuple | None = None) -> None:
    """Set up this process for training or sampling; imports JAX.

    Args:
      devices: as how many devices JAX is to treat the CPU, where that is what it finds; None for one.
      together: arguments for ``join``, where this process is one of several.
    """
    keep_memory()
    if devices is not None and devices > 1:
        share_cpu(devices)
    keep_compiled_programs()
    if together is not None:
        join(*together)

    import jax

    from flaxchar.kernels import build

    if build.prepare(devices) and jax.process_index() == 0:
        print("compiling the native kernel for this processor, once; some seconds", file=sys.stderr, flush=True)


def collect_seldom() -> None:
    """Let Python look for unreachable objects more seldom.

    It looks whenever some hundreds more exist, and the imports alone make hundreds of thousands, which all stay: a
    tenth of the time to the first step.
    """
    if gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER)


def share_cpu(devices: int) -> None:
    """Make several JAX devices of the CPU: the same program then runs on each, with a thread of its own."""
    # XLA's thread pool has as many threads as cores; devices that wait for one another would fill it.
    os.environ.setdefault("NPROC", str(max(os.cpu_count() or 1, 2 * devices)))
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()

    import jax

    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", devices)


def join(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Join the other processes of a job; what is None is found out from Slurm, Kubernetes, Open MPI or the TPU pod.

    Raises:
      InputError: nothing tells which processes there are.
    """
    import jax

    from flaxchar.config import InputError

    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except ValueError as error:
        raise InputError(
            f"the other processes cannot be found ({str(error).splitlines()[0]}); name --coordinator HOST:PORT, "
            "--processes and --process-id"
        ) from error


def keep_memory() -> None:
    """Let the allocator keep what is freed, where it is glibc's.

    XLA allocates a step's buffers anew each time. By default glibc returns large ones to the system, which maps and
    clears them anew: a fifth to a third of a training step.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return
    # One arena: only the first can hold buffers of any size.
    for what, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, 2 * _LARGE - 1)):
        mallopt(what, value)


def keep_compiled_programs() -> None:
    """Keep what is compiled in the user's cache directory: most of the start of the next command."""
    import jax

    from flaxchar.kernels import build

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Programs are compiled for the processor at hand, which JAX's own key leaves out, and homes may be shared.
        directory = platformdirs.user_cache_path("flaxchar") / "compiled" / build.processor()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # nowhere to keep them: every command compiles anew
        jax.config.update("jax_compilation_cache_dir", str(directory))
        # The many small ones too, which together take most of a second.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
