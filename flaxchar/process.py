"""What a command sets for its own process: how memory is kept, what is compiled where, how JAX hands over work.

Only the commands call this, before JAX is imported; ``import flaxchar`` changes nothing in the process it comes to.
What the user has set in the environment is left as it is.
"""

from __future__ import annotations

import ctypes
import os

import platformdirs

# glibc's numbers of what mallopt sets (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 1 << 30


def prepare() -> None:
    """Set up this process for training or sampling; imports JAX."""
    keep_memory()
    keep_compiled_programs()

    import jax

    from flaxchar import native

    if native.available() and "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        # The native kernel uses all cores itself. Handed over to another thread, a step would share them with XLA's
        # waiting threads, which spin: a step of 2.3 ms took 4 ms.
        jax.config.update("jax_cpu_enable_async_dispatch", False)


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
    """Let JAX keep what it compiles in the user's cache directory: most of the start of the next command."""
    import jax

    from flaxchar import native

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Programs are compiled for the processor at hand, which JAX's own key leaves out, and homes may be shared.
        directory = platformdirs.user_cache_path("flaxchar") / "compiled" / native.processor()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # nowhere to keep them: every command compiles anew
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
