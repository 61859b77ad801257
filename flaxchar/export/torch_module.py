"""PyTorch: writes the weights of a plain model under ``torch.nn``'s names, with a module that loads them; reads them.

``torch.nn.LSTM``, ``GRU`` and ``RNN`` compute what flaxchar's cells compute, with these differences
(https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and .GRU.html):

- Matrices are transposed: ``weight_ih`` ``[gates * hidden, inputs]`` and ``weight_hh`` ``[gates * hidden, hidden]``.
- Each layer has two biases. An LSTM and an RNN add them up, so the second one is exported as 0. A GRU needs both,
  because its reset gate multiplies the second one, which is flaxchar's ``recurrent_bias``.
- The gates of a GRU are in the order r, z, n, not z, r, n. The gates of an LSTM are i, f, g, o in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flaxchar.config import InputError
from flaxchar.export.safetensors_file import pack
from flaxchar.export.templates import fill, template_values
from flaxchar.export.weights import Layer, Weights, plain_weights
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import CellName

_RECURRENT = re.compile(
    r"(?:(?P<module>.*)\.)?(?P<kind>weight|bias)_(?P<part>ih|hh|hr)_l(?P<layer>\d{1,4})(?P<more>.*)"
)
_CELL_BY_GATES: dict[int, CellName] = {4: "lstm", 3: "gru", 1: "rnn"}


def torch_files(trained: TrainedModel) -> dict[str, bytes]:
    """The files of an export to PyTorch, by name: the weights, and a module that loads them."""
    weights = plain_weights(trained)
    layers, hidden = len(weights.layers), trained.config.model.hidden
    inputs = trained.config.model.embedding or trained.vocabulary.size
    ids = trained.vocabulary.size
    values = {
        **template_values(trained),
        "embedding": "" if weights.embedding is None else f"self.embedding = nn.Embedding({ids}, {inputs})\n        ",
        "vectors": f"nn.functional.one_hot(ids, {ids}).float()" if weights.embedding is None else "self.embedding(ids)",
        "cell": weights.cell,
        "layer": f"nn.{weights.cell.upper()}({inputs}, {hidden}, num_layers={layers}, batch_first=True)",
        "logits": f"nn.Linear({hidden}, {ids})",
    }
    model = fill("torch_model.py.txt", values)
    return {"model.safetensors": pack(torch_tensors(weights), trained), "model.py": model.encode()}


def torch_tensors(weights: Weights) -> dict[str, np.ndarray]:
    """The weights of a plain model as the ``state_dict`` of the module in ``model.py``."""
    tensors = {} if weights.embedding is None else {"embedding.weight": weights.embedding}
    for number, layer in enumerate(weights.layers):
        ordered = {name: _reordered(weights.cell, array) for name, array in layer.items()}
        second = ordered.get("recurrent_bias", np.zeros_like(layer["bias"]))
        tensors |= {
            f"{weights.cell}.weight_ih_l{number}": ordered["kernel"].T,
            f"{weights.cell}.weight_hh_l{number}": ordered["recurrent_kernel"].T,
            f"{weights.cell}.bias_ih_l{number}": ordered["bias"],
            f"{weights.cell}.bias_hh_l{number}": second,
        }
    return {**tensors, "logits.weight": weights.kernel.T, "logits.bias": weights.bias}


def weights_from_torch(tensors: Mapping[str, np.ndarray], path: Path) -> Weights:
    """The weights of a PyTorch module of an embedding or none, one LSTM, GRU or RNN, and a linear layer.

    The submodules may have any names. The linear layer is the one with a bias, the embedding the one without. An RNN
    is assumed to use tanh.

    Args:
      tensors: the ``state_dict``, with any content.
      path: its file, for messages.

    Raises:
      InputError: the module has other parts.
    """
    recurrent = {name: match for name in tensors if (match := _RECURRENT.fullmatch(name))}
    for name, match in recurrent.items():
        if match["part"] == "hr":
            raise InputError(f"{path} holds {name:.60}: an LSTM with a projection, which flaxchar does not have")
        if match["more"]:
            what = "a layer that reads backwards" if match["more"] == "_reverse" else "no layer of torch.nn"
            raise InputError(f"{path} holds {name:.60}: {what}, which flaxchar does not have")
    modules = sorted({match["module"] or "" for match in recurrent.values()})
    if len(modules) != 1:
        listed = ", ".join(f"{module:.40}" for module in modules[:4])
        raise InputError(
            f"{path} holds {len(modules)} recurrent modules ({listed}); flaxchar's model has one, of one or more layers"
        )
    prefix = f"{modules[0]}." if modules[0] else ""
    hidden = _matrix(tensors, f"{prefix}weight_hh_l0", path).shape[1]
    rows = _matrix(tensors, f"{prefix}weight_ih_l0", path).shape[0]
    cell = _CELL_BY_GATES.get(rows // hidden) if hidden and rows % hidden == 0 else None
    if cell is None:
        raise InputError(
            f"{path}: {prefix}weight_ih_l0 has {rows:,} rows for {hidden:,} units; an LSTM has 4 times as many rows as "
            "units, a GRU 3 times, an RNN as many"
        )
    layers = []
    for number in range(len({match["layer"] for match in recurrent.values()})):
        names = [f"{prefix}{part}_l{number}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for name in names[:2]:
            if _matrix(tensors, name, path).shape[0] != rows:
                raise InputError(f"{path}: {name} has {tensors[name].shape[0]:,} rows; it must have {rows:,}")
        biases = [tensors.get(name, np.zeros(rows, np.float32)) for name in names[2:]]
        for name, bias in zip(names[2:], biases, strict=True):
            if bias.shape != (rows,):
                raise InputError(f"{path}: {name} has the shape {list(bias.shape)}; it must be [{rows}]")
        layers.append(_layer(cell, tensors[names[0]], tensors[names[1]], *biases))
    others = {name: tensor for name, tensor in tensors.items() if name not in recurrent}
    embedding, linear = _find_others(others, path)
    return Weights(
        cell,
        None if embedding is None else tensors[embedding],
        tuple(layers),
        tensors[f"{linear}weight"].T,
        tensors[f"{linear}bias"],
    )


def _layer(cell: str, inputs: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, second: np.ndarray) -> Layer:
    kernels = {"kernel": _reordered(cell, inputs.T), "recurrent_kernel": _reordered(cell, recurrent.T)}
    if cell == "gru":
        return {**kernels, "bias": _reordered(cell, bias), "recurrent_bias": _reordered(cell, second)}
    return {**kernels, "bias": bias + second}


def _reordered(cell: str, array: np.ndarray) -> np.ndarray:
    """Reorder the columns of an array between the gate orders of a GRU: z, r, n ↔ r, z, n."""
    if cell != "gru":
        return array
    first, second, third = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)


def _matrix(tensors: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """The matrix of that name.

    Raises:
      InputError: there is no matrix of that name.
    """
    if name not in tensors:
        raise InputError(f"{path} holds no {name:.60}, which its other layers ask for")
    if tensors[name].ndim != 2:
        raise InputError(f"{path}: {name:.60} has the shape {list(tensors[name].shape)}; it must be a matrix")
    return tensors[name]


def _find_others(others: Mapping[str, np.ndarray], path: Path) -> tuple[str | None, str]:
    """The name of the embedding (or None), and the prefix of the linear layer, among the non-recurrent tensors."""
    linear = [name.removesuffix("bias") for name in others if name == "bias" or name.endswith(".bias")]
    if len(linear) != 1:
        raise InputError(f"{path} holds {len(linear)} linear layers with a bias; flaxchar's model has one")
    _matrix(others, f"{linear[0]}weight", path)
    rest = [name for name in others if name not in (f"{linear[0]}weight", f"{linear[0]}bias")]
    if len(rest) > 1 or any(name != "weight" and not name.endswith(".weight") for name in rest):
        raise InputError(
            f"{path} holds {rest[0]:.60}, and flaxchar's reference model has nothing but an embedding, a recurrent "
            "module and a linear layer"
        )
    if rest:
        _matrix(others, rest[0], path)
    return (rest[0] if rest else None), linear[0]
