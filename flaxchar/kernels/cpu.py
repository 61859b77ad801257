"""The CPU's own version of the recurrence: ``native.cpp``, compiled on first use for the processor at hand.

Where it cannot be had (no compiler, another kind of device, ``FLAXCHAR_NATIVE=0``) everything runs in JAX as it is in
``flaxchar.models.lstm``; ``status`` says which, and why.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
from jax import Array

_SOURCE = Path(__file__).parent / "src" / "native.cpp"
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-pthread", "-w")
_PARTS = 2  # of native.cpp
_TARGETS = ("forward", "backward", "cross_entropy_forward", "cross_entropy_backward")
# How the line of /proc/cpuinfo begins that lists what a processor can do, on x86 and on ARM.
_CPU_FEATURES = ("flags", "Features")


def processor() -> str:
    """A short name for what this kind of processor can do: what is compiled for one may not run on another."""
    cpuinfo = Path("/proc/cpuinfo")
    described = platform.machine() + platform.processor()
    if cpuinfo.exists():
        described += next((line for line in cpuinfo.read_text().splitlines() if line.startswith(_CPU_FEATURES)), "")
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def available() -> bool:
    """Whether the recurrence runs natively."""
    return _load()[0] is not None


def status() -> str:
    """Which version of the recurrence runs, in a few words for people."""
    return _load()[1]


def handlers() -> list[str]:
    """The names of the kernel's handlers, as compiled programs call them."""
    return [f"flaxchar_{target}" for target in _TARGETS]


def prepare(devices: int | None = None) -> bool:
    """Get ready to use the kernel, before JAX looks for devices: compile it in the background where that is to be done.

    Args:
      devices: as how many devices JAX is to treat the CPU, None for one.

    Returns:
      Whether it is being compiled now.
    """
    compiler = _compiler()
    if _forbidden() or compiler is None:
        return False
    if devices in (None, 1) and "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        # The native kernel uses all cores itself. Handed over to another thread, a step would share them with XLA's
        # waiting threads, which spin: a step of 2.3 ms took 4 ms.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    path = _library_path(compiler)
    if _unusable() or path.exists():
        return False
    try:
        _begin(compiler, path)
    except OSError:
        return False  # whoever uses the kernel is told why
    return True


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, _COMPILERS)), None)


def _forbidden() -> bool:
    return os.environ.get("FLAXCHAR_NATIVE", "1") == "0"


def _unusable() -> str | None:
    """Why the kernel cannot be used, where that can be told without trying."""
    if _forbidden():
        return "JAX (FLAXCHAR_NATIVE=0)"
    if jax.default_backend() != "cpu":
        return f"JAX on {jax.default_backend()}"
    return None if _compiler() else "JAX (there is no C++ compiler for the faster native kernel)"


@functools.cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    """The library, None where it cannot be had; and what to say of it."""
    if reason := _unusable():
        return None, reason
    compiler = _compiler()
    assert compiler is not None
    path = _library_path(compiler)
    try:
        if not path.exists():
            path = _begin(compiler, path).finish()
        library = ctypes.CDLL(str(path))
    except subprocess.CalledProcessError as error:
        reason = next((line for line in error.stderr.splitlines() if "error" in line), f"status {error.returncode}")
        return None, f"JAX ({Path(compiler).name} cannot compile the faster native kernel: {reason})"
    except OSError as error:
        return None, f"JAX (the native kernel cannot be loaded: {error})"
    for target in _TARGETS:
        symbol = jax.ffi.pycapsule(getattr(library, f"flaxchar_{target}"))
        jax.ffi.register_ffi_target(f"flaxchar_{target}", symbol, platform="cpu")
    count = threads()
    return library, f"native, {library.flaxchar_lanes()} lanes, {count} {'thread' if count == 1 else 'threads'}"


def _library_path(compiler: str) -> Path:
    """Where the library is kept: a name for source, compiler, JAX version and processor."""
    key = hashlib.sha256(_SOURCE.read_bytes())
    for part in (compiler, *_FLAGS, jax.lib.__version__, processor()):
        key.update(part.encode() + b"\0")
    return platformdirs.user_cache_path("flaxchar") / "native" / f"{key.hexdigest()[:16]}.so"


@functools.cache
def _begin(compiler: str, path: Path) -> _Compilation:
    return _Compilation(compiler, path)


class _Compilation:
    """The library on its way: the compiler at work on all parts of the source, each in a process of its own."""

    def __init__(self, compiler: str, path: Path) -> None:
        """``path``: where the library is to be, or, where nothing can be written there, in a place for this process."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(dir=path.parent))
        except OSError:
            self._folder = Path(tempfile.mkdtemp())
            path = self._folder / path.name
        self._compiler, self._path = compiler, path
        self._objects = [str(self._folder / f"{part}.o") for part in range(_PARTS)]
        command = [*self._command, "-isystem", jax.ffi.include_dir(), "-c", str(_SOURCE)]
        self._processes = [
            subprocess.Popen(
                [*command, f"-DFLAXCHAR_PART={part}", "-o", name],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for part, name in enumerate(self._objects)
        ]
        atexit.register(self._clear)

    @property
    def _command(self) -> list[str]:
        return [self._compiler, *_FLAGS]

    def finish(self) -> Path:
        """Wait for the library and say where it is."""
        try:
            for process in self._processes:
                _, said = process.communicate()
                if process.returncode:
                    raise subprocess.CalledProcessError(process.returncode, process.args, stderr=said)
            beside = self._folder / "new.so"
            command = [*self._command, "-shared", *self._objects, "-o", str(beside)]
            subprocess.run(command, check=True, capture_output=True, text=True)
            beside.replace(self._path)  # whole or not at all, whoever else compiles it
        finally:
            self._clear()
        return self._path

    def _clear(self) -> None:
        """Stop what still runs, and leave nothing behind but the library."""
        atexit.unregister(self._clear)
        for process in self._processes:
            process.kill()
            process.wait()
        if self._path.parent != self._folder or not self._path.exists():
            shutil.rmtree(self._folder)


def threads() -> int:
    """How many threads a call may use: this process' cores, shared among its devices."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jax.local_device_count())


def _panel() -> int:
    """Floats of a panel, the block of columns the kernel works on: four of its vectors."""
    return 4 * _library().flaxchar_lanes()


def _library() -> ctypes.CDLL:
    library = _load()[0]
    assert library is not None, "asked for the native kernel where it is not available"
    return library


def _shape(*dimensions: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, jnp.float32)


def _call(
    name: str, shapes: list[jax.ShapeDtypeStruct], *arguments: Array | None, cell: str = "lstm"
) -> Sequence[Array]:
    """Call a handler of native.cpp, which takes the types of its arguments on trust."""
    given = [jnp.zeros((0,), jnp.float32) if array is None else array for array in arguments]
    for array in given:
        if array.dtype not in (jnp.float32, jnp.int32):
            raise TypeError(f"the native kernel computes in float32, not in {array.dtype}")
    call = jax.ffi.ffi_call(f"flaxchar_{name}", shapes, vmap_method="sequential")
    return call(*given, cell=CELLS.index(cell), threads=threads())


# The cells in the order of their numbers in native.cpp, and how many gates its kernels [in, gates * hidden] have.
_GATES = {"lstm": 4, "gru": 4, "rnn": 1}
CELLS = tuple(_GATES)

Carry = tuple[Array, ...]
Weights = Mapping[str, Any]


def _arranged(cell: str, weights: Weights) -> tuple[Array, Array, Array]:
    """``kernel``, ``bias`` and ``recurrent_kernel`` of a layer as the kernel reads them.

    Of a GRU it wants four gates: z and r, which add what comes of the input and of the state, and n's part of the input
    and its part of the state apart, as r multiplies only the second.
    """
    kernel, bias, recurrent = weights["kernel"], weights["bias"], weights["recurrent_kernel"]
    if cell != "gru":
        return kernel, bias, recurrent
    hidden = recurrent.shape[0]

    def four(of_input: Array, of_state: Array) -> Array:
        both = (of_input + of_state)[..., : 2 * hidden]
        return jnp.concatenate([both, of_input[..., 2 * hidden :], of_state[..., 2 * hidden :]], axis=-1)

    return (
        four(kernel, jnp.zeros_like(kernel)),
        four(bias, weights["recurrent_bias"]),
        four(jnp.zeros_like(recurrent), recurrent),
    )


def sequence(cell: str, inputs: Array, weights: Weights, carry: Carry, mask: Array | None) -> tuple[Array, Carry]:
    """A layer over a sequence, float32, as ``flaxchar.models.cells.Cell.sequence``; ``cell`` is one of ``CELLS``."""
    return _sequence(cell, inputs, *_arranged(cell, weights), carry, mask)


def _shape_of(array: Array | None) -> jax.ShapeDtypeStruct:
    return _shape(0) if array is None else _shape(*array.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sequence(
    cell: str, inputs: Array, kernel: Array, bias: Array, recurrent: Array, carry: Carry, mask: Array | None
) -> tuple[Array, Carry]:
    return _sequence_forward(cell, inputs, kernel, bias, recurrent, carry, mask)[0]


def _sequence_forward(
    cell: str, inputs: Array, kernel: Array, bias: Array, recurrent: Array, carry: Carry, mask: Array | None
) -> tuple:
    (time, batch), hidden = inputs.shape[:2], recurrent.shape[0]
    gates = -(-_GATES[cell] * hidden // _panel()) * _panel()  # in whole panels
    states, nothing = _shape(time, batch, hidden), _shape(0)
    shapes = [
        states,
        states if cell == "lstm" else nothing,
        nothing if cell == "rnn" else _shape(time, batch, gates),
        nothing if mask is None else states,
    ]
    h, c = (*carry, None)[:2]
    # Ids look up rows of the kernel; the bias is added to these few instead of to each sum.
    read = (inputs, kernel + bias, None) if inputs.ndim == 2 else (inputs, kernel, bias)
    kept = _call("forward", shapes, *read, recurrent, h, c, mask, cell=cell)
    last = tuple(states[-1] for states in kept[: len(carry)])
    return (kept[0], last), (inputs, kernel, bias, recurrent, carry, mask, kept)


def _sequence_backward(cell: str, residuals: tuple, gradients: tuple[Array, Carry]) -> tuple:
    inputs, kernel, bias, recurrent, carry, mask, kept = residuals
    d_hs, d_carry = gradients
    h, c = (*carry, None)[:2]
    d_h, d_c = (*d_carry, None)[:2]
    ids = inputs.ndim == 2
    read = (inputs, kernel, None if ids else bias)
    shapes = [
        _shape_of(None if ids else inputs),
        _shape_of(kernel),
        _shape_of(None if ids else bias),
        _shape_of(recurrent),
        _shape_of(h),
        _shape_of(None if cell == "rnn" else h),
    ]
    states = recurrent, h, c, mask, *kept, d_hs, d_h, d_c
    of_inputs, d_kernel, of_bias, d_recurrent, d_before, d_past = _call("backward", shapes, *read, *states, cell=cell)
    # Each id adds the bias once.
    d_inputs, d_bias = (None, d_kernel.sum(0)) if ids else (of_inputs, of_bias)
    d_before = d_before if mask is None else d_before * mask
    if cell == "gru":
        d_before = d_before + d_past
    d_carry = (d_before, d_past)[: len(carry)]
    return d_inputs, d_kernel, d_bias, d_recurrent, d_carry, None if mask is None else jnp.zeros_like(mask)


_sequence.defvjp(_sequence_forward, _sequence_backward)


@jax.custom_vjp
def cross_entropy(inputs: Array, kernel: Array, bias: Array, targets: Array) -> Array:
    """Cross-entropy of targets under a softmax of ``inputs W + b``.

    Args:
      inputs: float32 ``[..., in]``.
      kernel: ``W``, ``[in, vocab]``.
      bias: ``b``, ``[vocab]``.
      targets: int32 ``[...]``.

    Returns:
      Nats, float32 ``[...]``.
    """
    return _cross_entropy_forward(inputs, kernel, bias, targets)[0]


def _cross_entropy_forward(inputs: Array, kernel: Array, bias: Array, targets: Array) -> tuple:
    width = -(-kernel.shape[1] // _panel()) * _panel()
    shapes = [_shape(*targets.shape), _shape(*targets.shape, width)]
    nats, softmax = _call("cross_entropy_forward", shapes, inputs, kernel, bias, targets)
    return nats, (inputs, kernel, bias, targets, softmax)


def _cross_entropy_backward(residuals: tuple[Array, ...], d_nats: Array) -> tuple:
    inputs, kernel, bias, targets, softmax = residuals
    shapes = [_shape(*array.shape) for array in (inputs, kernel, bias)]
    gradients = _call("cross_entropy_backward", shapes, inputs, kernel, None, targets, d_nats, softmax)
    return *gradients, None


cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


class _Decoder(ctypes.Structure):
    """``Decoder`` of ``native.cpp``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("cell", "layers", "hidden", "vocab", "features")),
        *((name, ctypes.POINTER(ctypes.c_void_p)) for name in ("kernels", "biases", "recurrents")),
        *((name, ctypes.c_void_p) for name in ("head", "head_bias", "banned")),
        *((name, ctypes.c_float) for name in ("temperature", "top_p")),
        ("top_k", ctypes.c_int64),
    )


class _Texts(ctypes.Structure):
    """``Texts`` of ``native.cpp``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "length")),
        *((name, ctypes.c_void_p) for name in ("given", "limits", "keys")),
        ("until", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("tokens", "positions", "done", "h", "c")),
    )


class Texts(NamedTuple):
    """Rows of text in the making; ``decode`` goes on with them in place.

    Attributes:
      tokens: the prompts and what has been written after them, 0 elsewhere, int32 ``[texts, length]``.
      positions: how many tokens of each have been fed, int32 ``[texts]``.
      done: which are finished, bool ``[texts]``.
      h: the layers' hidden states, float32 ``[texts, layers, hidden]``.
      c: the layers' cells, likewise.
    """

    tokens: np.ndarray
    positions: np.ndarray
    done: np.ndarray
    h: np.ndarray
    c: np.ndarray


def decode(
    cell: str,
    layers: Sequence[Weights],
    head: Mapping[str, Any],
    texts: Texts,
    given: np.ndarray,
    limits: np.ndarray,
    keys: np.ndarray,
    sampling: tuple[float, int, float],
    until: int,
    banned: Sequence[int],
) -> None:
    """Go on with texts until each is done or ``until`` tokens have been fed; as ``flaxchar.generation.decode.decode``.

    Args:
      cell: one of ``CELLS``.
      layers: the weights of each layer, the first fed with ids.
      head: ``kernel`` and ``bias`` of the layer to logits.
      texts: changed in place.
      given: tokens of each text that are not drawn, int32 ``[texts]``.
      limits: tokens after which each is done, int32 ``[texts]``.
      keys: ``jax.random.key_data`` of each text's key, uint32 ``[texts, 2]``.
      sampling: temperature, top-k and top-p.
      until: position at which to stop.
      banned: ids never drawn.
    """
    kept: list[Any] = []  # what the structures point to

    def pointer(array: Any, dtype: Any = np.float32) -> int:
        kept.append(np.ascontiguousarray(array, dtype))
        return kept[-1].ctypes.data

    def pointers(arrays: Sequence[Any]) -> Any:
        kept.append((ctypes.c_void_p * len(arrays))(*map(pointer, arrays)))
        return ctypes.cast(kept[-1], ctypes.POINTER(ctypes.c_void_p))

    kernels, biases, recurrents = zip(*(_arranged(cell, layer) for layer in layers), strict=True)
    first = np.asarray(kernels[0]) + np.asarray(biases[0])
    hidden, vocab = head["kernel"].shape
    mask = np.zeros(vocab, np.uint8)
    mask[list(banned)] = 1
    decoder = _Decoder(
        CELLS.index(cell), len(layers), hidden, vocab, first.shape[0],
        pointers([first, *kernels[1:]]), pointers(biases), pointers(recurrents),
        pointer(head["kernel"]), pointer(head["bias"]), pointer(mask, np.uint8),
        sampling[0], sampling[2], sampling[1],
    )  # fmt: skip
    state = _Texts(
        *texts.tokens.shape,
        pointer(given, np.int32), pointer(limits, np.int32), pointer(keys, np.uint32),
        until,
        *(array.ctypes.data for array in texts),
    )  # fmt: skip
    _library().flaxchar_decode(ctypes.byref(decoder), ctypes.byref(state), threads())
