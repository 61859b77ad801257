"""Build the native kernel: compile the C++ in ``src`` on first use, keep the library, and load it.

The library is compiled for this machine's processor and kept in the user's cache folder. Without it (no compiler,
another kind of device, ``FLAXCHAR_NATIVE=0``) everything runs in JAX. ``status`` says which of the two runs, and why.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax

from flaxchar.storage import content_key, own_cache_folder, replace_file

_FOLDER = Path(__file__).parent / "src"
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-pthread", "-w")
# The source files, compiled at the same time, each by its own compiler process. The other files in the folder are
# headers.
_SOURCES = ("forward.cpp", "backward.cpp")
# The functions that XLA calls.
_HANDLERS = ("forward", "backward", "cross_entropy_forward", "cross_entropy_backward", "random_bits")
# The beginning of the line of /proc/cpuinfo that lists a processor's instruction sets, on x86 and on ARM.
_CPU_FEATURES = ("flags", "Features")


def processor() -> str:
    """Return a key for the kind of processor. A program compiled for one kind may not run on another.

    Example::

        processor()  # '3f0c5cbd8cb7a1a2a1f0a6b6a1b9e0d4'
    """
    cpuinfo = Path("/proc/cpuinfo")
    features = ""
    if cpuinfo.exists():
        features = next((line for line in cpuinfo.read_text().splitlines() if line.startswith(_CPU_FEATURES)), "")
    return content_key(platform.machine(), platform.processor(), features)


def threads() -> int:
    """Number of threads that a kernel call may use: the process's cores, divided among its JAX devices."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jax.local_device_count())


def available() -> bool:
    """Whether the native kernel can be used. The first call compiles it if the cache has no library yet."""
    return _load()[0] is not None


def status() -> str:
    """One line for the user: whether the recurrence runs natively or in JAX, and why in JAX.

    Example::

        status()  # 'native, 16 lanes, 2 threads', or 'JAX (FLAXCHAR_NATIVE=0)'
    """
    return _load()[1]


def library() -> ctypes.CDLL:
    """The loaded library; call it only where ``available()``."""
    loaded = _load()[0]
    assert loaded is not None, "asked for the native kernel where it is not available"
    return loaded


def panel() -> int:
    """Width of a panel, in floats: the kernel computes four vectors of columns at once (``src/matrix.h``)."""
    return 4 * library().flaxchar_lanes()


def prepare(devices: int | None = None) -> bool:
    """Start compiling in the background if the cache has no library yet. Call it before JAX looks for devices.

    Args:
      devices: number of devices that JAX divides the CPU into; None for one.

    Returns:
      Whether the kernel is being compiled now.
    """
    compiler = _compiler()
    if _forbidden() or compiler is None:
        return False
    if devices in (None, 1) and "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        # The native kernel uses all cores. With asynchronous dispatch XLA's waiting threads spin on the same cores: a
        # step of 2.3 ms took 4 ms.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    if _unusable() or _is_whole(_library_path(compiler)):
        return False
    try:
        _compilation(compiler)
    except OSError:
        return False  # the first use of the kernel fails in the same way, and `status` reports it
    return True


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, _COMPILERS)), None)


def _forbidden() -> bool:
    return os.environ.get("FLAXCHAR_NATIVE", "1") == "0"


def _unusable() -> str | None:
    """The reasons against the kernel that are known before it is compiled; None if there are none."""
    if _forbidden():
        return "JAX (FLAXCHAR_NATIVE=0)"
    if jax.default_backend() != "cpu":
        return f"JAX on {jax.default_backend()}"
    return None if _compiler() else "JAX (there is no C++ compiler for the faster native kernel)"


@functools.cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    """Load the library, compiled first if needed; return it, or None if it cannot be used, and the status line."""
    if reason := _unusable():
        return None, reason
    compiler = _compiler()
    assert compiler is not None
    path = _library_path(compiler)
    try:
        if _is_whole(path):
            loaded = ctypes.CDLL(str(path))
        else:
            compilation = _compilation(compiler)
            try:
                loaded = ctypes.CDLL(str(compilation.finish(path)))
            finally:
                compilation.clear()
    except subprocess.CalledProcessError as error:
        reason = next((line for line in error.stderr.splitlines() if "error" in line), f"status {error.returncode}")
        return None, f"JAX ({Path(compiler).name} cannot compile the faster native kernel: {reason})"
    except OSError as error:
        return None, f"JAX (the native kernel cannot be loaded: {error})"
    for name in _HANDLERS:
        symbol = jax.ffi.pycapsule(getattr(loaded, f"flaxchar_{name}"))
        jax.ffi.register_ffi_target(f"flaxchar_{name}", symbol, platform="cpu")
    count = threads()
    return loaded, f"native, {loaded.flaxchar_lanes()} lanes, {count} {'thread' if count == 1 else 'threads'}"


def _is_whole(path: Path) -> bool:
    """Whether the cache has the library as it was written: a damaged one may crash the process when it is loaded.

    The file beside it holds its hash. Both lie in a folder that only this user can write.
    """
    try:
        return own_cache_folder("native") is not None and _digest(path.read_bytes()) == _digest_path(path).read_text()
    except (OSError, ValueError):
        return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_path(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _library_path(compiler: str) -> Path:
    """Path of the library in the cache; its name is a hash of sources, compiler, flags, JAX version and processor."""
    files = sorted(path for path in _FOLDER.iterdir() if path.suffix in (".h", ".cpp"))
    sources = [part for path in files for part in (path.name, path.read_bytes())]
    return (
        own_cache_folder("native") or Path()
    ) / f"{content_key(*sources, compiler, *_FLAGS, jax.lib.__version__, processor())}.so"


@functools.cache
def _compilation(compiler: str) -> _Compilation:
    """The process's only compilation; the first call starts it."""
    return _Compilation(compiler)


class _Compilation:
    """A compilation in the background: one compiler process for each source file."""

    def __init__(self, compiler: str) -> None:
        """Start the compiler.

        Raises:
          OSError: the compiler cannot be started, or no folder can be made for its output.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="flaxchar-"))
        self._processes: list[subprocess.Popen] = []
        self._command = [compiler, *_FLAGS]
        atexit.register(self.clear)
        command = [*self._command, "-isystem", jax.ffi.include_dir(), "-c"]
        for name in _SOURCES:
            arguments = [*command, str(_FOLDER / name), "-o", str(self._object(name))]
            self._processes.append(
                subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            )

    def _object(self, source: str) -> Path:
        return self._folder / f"{source}.o"

    def finish(self, path: Path) -> Path:
        """Wait for the compiler, link the library and write it to ``path``.

        Returns:
          ``path``; if it cannot be written, the path of a temporary file that ``clear`` deletes.

        Raises:
          subprocess.CalledProcessError: the compiler failed; ``stderr`` is its output.
          OSError: the compiler cannot be started for the linking.
        """
        for process in self._processes:
            _, errors = process.communicate()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args, stderr=errors)
        linked = self._folder / "native.so"
        command = [*self._command, "-shared", *(str(self._object(name)) for name in _SOURCES), "-o", str(linked)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        if own_cache_folder("native") is None:
            return linked
        try:
            content = linked.read_bytes()
            replace_file(path, content)
            replace_file(_digest_path(path), _digest(content))
        except OSError:
            return linked
        return path

    def clear(self) -> None:
        """Stop the compiler if it still runs, and delete its output. A loaded library stays loaded."""
        atexit.unregister(self.clear)
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)
