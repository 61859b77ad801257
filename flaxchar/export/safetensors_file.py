"""safetensors: writes a model to one file under flaxchar's own names, and reads any untrusted safetensors file.

A name is the path of a parameter, joined with dots: ``embedding``, ``lstm_0.kernel``, ``logits.bias``. The metadata has
settings and vocabulary as JSON under the key ``flaxchar``. ``docs/export.md`` has all names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.export.extras import library
from flaxchar.export.metadata import KEY, describe_model, read_description
from flaxchar.export.weights import checked_model
from flaxchar.models.trained import TrainedModel

# The dtypes of weights that are read, by their names in the file. All are converted to float32.
_FLOATS = ("F64", "F32", "F16", "BF16")


def safetensors_bytes(trained: TrainedModel) -> bytes:
    """Make the safetensors file of a model."""
    leaves = jax.tree_util.tree_leaves_with_path(trained.params)
    return pack({".".join(part.key for part in path): np.asarray(leaf) for path, leaf in leaves}, trained)


def pack(tensors: Mapping[str, np.ndarray], trained: TrainedModel) -> bytes:
    """Make a safetensors file of arrays, with the description of their model."""
    contiguous = {name: np.array(tensor, np.float32, order="C") for name, tensor in tensors.items()}
    return library("safetensors.numpy").save(contiguous, {KEY: describe_model(trained)})


class TensorFile(NamedTuple):
    """The content of a safetensors file.

    Attributes:
      tensors: float32 arrays by name.
      description: settings and vocabulary; None in a file that flaxchar did not write.
    """

    tensors: dict[str, np.ndarray]
    description: tuple[Config, Vocabulary] | None


def read_safetensors(path: Path) -> TensorFile:
    """Read an untrusted safetensors file.

    The library checks that all tensors lie within the file, so that a false header cannot make it allocate memory.

    Raises:
      InputError: it is no safetensors file, or has tensors that are not floating-point.
    """
    import ml_dtypes

    error_type = library("safetensors").SafetensorError
    try:
        records = library("safetensors").deserialize(path.read_bytes())
        with library("safetensors").safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except error_type as error:
        raise InputError(
            f"{path} is no safetensors file that can be read: {str(error).splitlines()[0]:.150}"
        ) from error
    kinds = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
    tensors = {}
    for name, record in records:
        if record["dtype"] not in _FLOATS:
            raise InputError(f"{path}: {name:.60} holds {record['dtype']}; weights must be floating-point numbers")
        values = np.frombuffer(record["data"], kinds[record["dtype"]]).reshape(record["shape"])
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is refused later
            tensors[name] = values.astype(np.float32)
    description = read_description(metadata[KEY], str(path)) if KEY in metadata else None
    return TensorFile(tensors, description)


def model_from_own_names(file: TensorFile, path: Path) -> TrainedModel:
    """Make the model from a file that ``safetensors_bytes`` wrote.

    Raises:
      InputError: the file has no description, or tensors that do not fit it.
    """
    if file.description is None:
        raise InputError(
            f"{path} holds neither the recurrent layers of a PyTorch module (weight_ih_l0 …) nor a model that flaxchar "
            "exported"
        )
    config, vocabulary = file.description
    params: dict[str, Any] = {}
    for name, tensor in file.tensors.items():
        layer, _, part = name.rpartition(".")
        params.setdefault(layer, {})[part] = tensor
    own = params.pop("", {})
    return checked_model({**params, **own}, vocabulary, config)
