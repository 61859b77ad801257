"""Keras: writes the weights of a plain model as ``.weights.h5`` with a ``model.py`` that loads it, and reads them back.

``keras.layers.LSTM``, ``GRU`` (with ``reset_after``, the default) and ``SimpleRNN`` have flaxchar's layout: ``kernel``
``[inputs, gates * units]``, ``recurrent_kernel`` ``[units, gates * units]``, ``bias`` ``[gates * units]``, gates in the
orders i, f, c, o and z, r, h. The two biases of a GRU are the rows of one array. Keras 3 names the arrays of a file by
the classes of the layers in their order: ``layers/lstm/cell/vars/0``, ``layers/lstm_1/cell/vars/0``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flaxchar.config import InputError
from flaxchar.export.extras import library
from flaxchar.export.metadata import describe_model
from flaxchar.export.templates import fill, template_values
from flaxchar.export.weights import Layer, Weights, plain_weights
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import CellName

# Keras' class of each cell, and the name of its arrays in a file.
_CLASSES: dict[CellName, tuple[str, str]] = {
    "lstm": ("LSTM", "lstm"),
    "gru": ("GRU", "gru"),
    "rnn": ("SimpleRNN", "simple_rnn"),
}
_ARRAY = re.compile(
    r"layers/(?P<layer>[a-z_]+?)(?:_(?P<number>\d{1,4}))?/(?P<part>(?:cell/|layer/)?)vars/(?P<index>\d)"
)


def keras_files(trained: TrainedModel) -> dict[str, bytes]:
    """The files of an export to Keras, by name: weights, a module that loads them, settings and vocabulary."""
    weights, values = plain_weights(trained), template_values(trained)
    ids, hidden = trained.vocabulary.size, trained.config.model.hidden
    embedded = f"keras.layers.Embedding({ids}, {trained.config.model.embedding})(ids)"
    layer = f"keras.layers.{_CLASSES[weights.cell][0]}({hidden}, return_sequences=True)"
    values |= {
        "vectors": f"keras.ops.one_hot(ids, {ids})" if weights.embedding is None else embedded,
        "layers": f"\n    hidden = {layer}(hidden)" * len(weights.layers),
    }
    return {
        "model.weights.h5": _hdf5(keras_arrays(weights)),
        "model.py": fill("keras_model.py.txt", values).encode(),
        "flaxchar.json": describe_model(trained).encode(),
    }


def keras_arrays(weights: Weights) -> dict[str, np.ndarray]:
    """The weights of a plain model as the arrays of a ``.weights.h5`` file, by path."""
    name = _CLASSES[weights.cell][1]
    arrays = {} if weights.embedding is None else {"layers/embedding/vars/0": weights.embedding}
    for number, layer in enumerate(weights.layers):
        bias = layer["bias"]
        if "recurrent_bias" in layer:
            bias = np.stack([bias, layer["recurrent_bias"]])
        for index, array in enumerate((layer["kernel"], layer["recurrent_kernel"], bias)):
            arrays[f"layers/{name}{f'_{number}' if number else ''}/cell/vars/{index}"] = array
    return {**arrays, "layers/dense/vars/0": weights.kernel, "layers/dense/vars/1": weights.bias}


def weights_from_keras(arrays: Mapping[str, np.ndarray], path: Path) -> Weights:
    """The weights of a Keras model of an embedding or none, LSTM, GRU or SimpleRNN layers, and a dense layer.

    Args:
      arrays: the arrays of a ``.weights.h5`` file by path, of any shape.
      path: the file, for messages.

    Raises:
      InputError: the model has other layers.
    """
    cells: dict[str, dict[int, dict[int, np.ndarray]]] = {}  # class of the layer → its number → its arrays
    embedding: list[np.ndarray] = []
    dense: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        match = _ARRAY.fullmatch(name)
        layer = match["layer"] if match else ""
        if match and layer in (known for _, known in _CLASSES.values()) and match["part"] == "cell/":
            cells.setdefault(layer, {}).setdefault(int(match["number"] or 0), {})[int(match["index"])] = array
        elif match and layer == "embedding" and not match["part"]:
            embedding.append(array)
        elif match and (layer, match["part"]) in (("dense", ""), ("time_distributed", "layer/")):
            dense[name] = array
        else:
            raise InputError(
                f"{path} holds {name:.80}, and flaxchar's reference model has nothing but an embedding, LSTM, GRU or "
                "SimpleRNN layers and one dense layer"
            )
    if len(cells) != 1:
        raise InputError(f"{path} holds {' and '.join(sorted(cells)) or 'no'} layers; it must hold LSTM, GRU or RNN")
    if len(embedding) > 1 or len(dense) != 2:
        raise InputError(
            f"{path} holds {len(embedding)} embeddings and {len(dense)} arrays of dense layers; the reference model "
            "has one embedding or none, and one dense layer with a kernel and a bias"
        )
    if embedding and embedding[0].ndim != 2:
        raise InputError(f"{path} has an embedding of the shape {list(embedding[0].shape)}; it must be a matrix")
    [(name, by_number)] = cells.items()
    cell = next(cell for cell, (_, known) in _CLASSES.items() if known == name)
    layers = tuple(_layer(cell, by_number[number], f"{path}: {name} {number + 1}") for number in sorted(by_number))
    kernel, bias = (dense[name] for name in sorted(dense))
    return Weights(cell, embedding[0] if embedding else None, layers, kernel, bias)


def _layer(cell: CellName, arrays: Mapping[int, np.ndarray], name: str) -> Layer:
    if sorted(arrays) != [0, 1, 2]:
        raise InputError(f"{name} has {len(arrays)} arrays; it must have a kernel, a recurrent kernel and a bias")
    kernel, recurrent, bias = arrays[0], arrays[1], arrays[2]
    if recurrent.ndim != 2 or kernel.ndim != 2:
        raise InputError(f"{name} has kernels of the shapes {list(kernel.shape)} and {list(recurrent.shape)}")
    layer = {"kernel": kernel, "recurrent_kernel": recurrent}
    if cell != "gru":
        return {**layer, "bias": bias}
    if bias.ndim != 2 or len(bias) != 2:
        raise InputError(
            f"{name} has a bias of the shape {list(bias.shape)}; a GRU with reset_after=True, the only one that "
            "flaxchar has, has two rows"
        )
    return {**layer, "bias": bias[0], "recurrent_bias": bias[1]}


def _hdf5(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write arrays to an HDF5 file at their paths, and return its bytes."""
    buffer = io.BytesIO()
    with library("h5py").File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=np.asarray(array, np.float32))
    return buffer.getvalue()
