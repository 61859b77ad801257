"""Reads untrusted files of Keras: ``.weights.h5`` (HDF5), and ``.keras`` (a zip of a description and ``.weights.h5``).

No code in them is run: HDF5 has no code, and only the classes and settings of the layers are read from the description.
Arrays outside the file, links, compressed arrays, and sizes larger than the file are refused before anything is
allocated.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flaxchar.config import InputError
from flaxchar.export.extras import library
from flaxchar.json_files import MOST_BYTES, parse_json
from flaxchar.validation import shown

# The most bytes of a file of weights, which is read into memory as a whole.
MOST_WEIGHTS = 8 << 30
# The most groups and arrays that are read: a deep stack has three groups and three arrays a layer.
_MOST_OBJECTS = 10_000
# Layers that are ignored, because they have no weights to import.
_PASSIVE = ("InputLayer", "Dropout", "Masking", "SpatialDropout1D", "OneHot")
_LINEAR = ("linear", "softmax")
# The allowed settings of each class of layer; the first value is Keras' default.
_SETTINGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Embedding": {},
    "Softmax": {"axis": (-1, 2)},
    "Activation": {"activation": _LINEAR},
    "Dense": {"activation": _LINEAR, "use_bias": (True,)},
    "LSTM": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "use_bias": (True,)},
    "GRU": {
        "activation": ("tanh",),
        "recurrent_activation": ("sigmoid",),
        "use_bias": (True,),
        "reset_after": (True,),
    },
    "SimpleRNN": {"activation": ("tanh",), "use_bias": (True,)},
}


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a ``.weights.h5`` or ``.keras`` file: float32 arrays by path, without the optimizer's.

    Raises:
      InputError: the file is of neither kind, or has something that is refused.
    """
    data = path.read_bytes()
    if data[:2] != b"PK":
        return read_hdf5(data, path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_description(
                parse_json(_member(archive, "config.json", MOST_BYTES, path), f"{path}: config.json"), path
            )
            weights = _member(archive, "model.weights.h5", min(MOST_WEIGHTS, 2 * len(data) + MOST_BYTES), path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no .keras file that can be read: {error}") from error
    return read_hdf5(weights, path)


def _member(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """Read a file of an archive, of at most ``most`` bytes."""
    try:
        with archive.open(name) as file:
            data = file.read(most + 1)
    except KeyError:
        raise InputError(f"{path} is no .keras file: it holds no {name}") from None
    if len(data) > most:
        raise InputError(f"{path}: {name} is larger than {most:,} bytes, the most that is read")
    return data


def check_description(config: Any, path: Path) -> None:
    """Check that flaxchar has the layers of a Keras model, with the same settings.

    Raises:
      InputError: flaxchar does not have such a model.
    """
    described = config.get("config") if isinstance(config, dict) else None
    layers = described.get("layers") if isinstance(described, dict) else None
    if not isinstance(layers, list):
        raise InputError(f"{path} describes no Sequential or Functional Keras model")
    softmax = False
    for layer in layers:
        kind, settings = _described(layer, path)
        if kind == "TimeDistributed":
            kind, settings = _described(settings.get("layer"), path)
        if kind not in _PASSIVE and kind not in _SETTINGS:
            raise InputError(f"{path} has a layer {kind:.40}, which flaxchar's model does not have")
        if softmax and kind in _SETTINGS:
            raise InputError(f"{path} has a layer {kind} after a softmax; flaxchar's model ends with it")
        softmax |= kind == "Softmax" or settings.get("activation") == "softmax"
        if kind in _PASSIVE:
            continue
        for name, allowed in _SETTINGS[kind].items():
            value = settings.get(name, allowed[0])
            if not any(type(value) is type(one) and value == one for one in allowed):
                raise InputError(f"{path} has a layer {kind} with {name}={shown(value)}; flaxchar's has {allowed[0]}")
        if settings.get("go_backwards") or settings.get("stateful"):
            raise InputError(f"{path} has a layer {kind} that reads backwards or is stateful; flaxchar's is neither")


def _described(layer: Any, path: Path) -> tuple[str, dict[str, Any]]:
    """The class of a layer and its settings."""
    if not (isinstance(layer, dict) and isinstance(layer.get("class_name"), str)):
        raise InputError(f"{path} describes a layer as {shown(layer)}; it must be an object with a class_name")
    settings = layer.get("config")
    return layer["class_name"], settings if isinstance(settings, dict) else {}


def read_hdf5(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """Read the arrays under ``layers`` of an HDF5 file: float32 arrays by path.

    Raises:
      InputError: the data is no HDF5 file, or has something that is refused; the message names it.
    """
    h5py = library("h5py")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if not isinstance(file.get("layers", getlink=True), h5py.HardLink):
                raise InputError(f"{path} has no group layers; it must be written by save_weights of Keras 3")
            return dict(_arrays(h5py, file["layers"], "layers", len(data), path))
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError) as error:
        reason = (str(error).strip("'\" ") or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no HDF5 file that can be read: {reason:.200}") from error


def _arrays(h5py: Any, group: Any, name: str, size: int, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a group and its subgroups, with their paths. The limits hold even if hard links form a cycle."""
    waiting, seen, total = [(name, group)], 0, 0
    while waiting:
        name, group = waiting.pop()
        for key in group:
            seen += 1
            inner = f"{name}/{key}"
            if seen > _MOST_OBJECTS or inner.count("/") > 5:
                raise InputError(f"{path} holds more groups than a model has, at {inner:.80}")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise InputError(f"{path}: {inner:.80} is a link, which is not followed")
            item = group[key]
            if isinstance(item, h5py.Group):
                if "seed_generator" not in key:  # the state of a dropout layer
                    waiting.append((inner, item))
                continue
            total += _check_array(h5py, item, inner, size, path)
            if total > size:
                raise InputError(f"{path} claims more numbers than it holds")
            with np.errstate(over="ignore"):
                yield inner, np.asarray(item[()], np.float32)


def _check_array(h5py: Any, item: Any, name: str, size: int, path: Path) -> int:
    """Check that an array can be read, and return its size in bytes."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f":
        raise InputError(f"{path}: {name:.80} holds no floating-point numbers")
    plist = item.id.get_create_plist()
    if plist.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or plist.get_external_count():
        raise InputError(f"{path}: {name:.80} is compressed or lies outside the file; Keras writes plain arrays")
    if item.nbytes > size:
        raise InputError(f"{path}: {name:.80} claims {item.nbytes:,} bytes, more than the file has")
    return item.nbytes
