"""ONNX: one step of a model as a graph of elementary operators, from ids and a carry to logits and the new carry.

The program that runs the graph keeps the carry and feeds it to the next step, as flaxchar's own decode loop does. The
operators are from ONNX' default domain, opset 17, so every runtime has them. ONNX' own LSTM and GRU operators are not
used: so all cells are built in the same way, and a single step needs no sequence axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from flaxchar.config import InputError
from flaxchar.export.extras import library
from flaxchar.export.metadata import KEY, describe_model
from flaxchar.models.cells import CELLS
from flaxchar.models.trained import TrainedModel
from flaxchar.sizes import in_bytes

# Opset 17 is the first with LayerNormalization; it came with IR version 8.
_OPSET, _IR_VERSION = 17, 8
# The most bytes of weights: a protocol buffer must be smaller than 2 GiB.
_MOST_BYTES = (2 << 30) - (64 << 20)
# The default of Flax' LayerNorm.
_LAYER_NORM_EPSILON = 1e-6
_CARRY_NAMES = ("h", "c")


def onnx_bytes(trained: TrainedModel) -> bytes:
    """Make the ONNX file of one step of a model.

    Its inputs are ``ids``, int64 ``[batch]``, and for each layer ``h_0`` and, for an LSTM, ``c_0``, float32
    ``[batch, hidden]``, which are zeros before a text. Its outputs are ``logits``, float32 ``[batch, vocab]``, and
    ``next_h_0``, ``next_c_0`` …

    Raises:
      InputError: the weights take more bytes than an ONNX file can have.
    """
    onnx = library("onnx")
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), trained.params)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    if size > _MOST_BYTES:
        raise InputError(f"the weights take {in_bytes(size)}, and an ONNX file holds less than 2 GB")
    graph = _Graph(onnx.helper, onnx.numpy_helper)
    outputs = _step(graph, trained, params)
    hidden, vocab = trained.config.model.hidden, trained.vocabulary.size
    carries = [name for layer in outputs[1:] for name in layer]
    floats, value = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "step",
            [
                value("ids", onnx.TensorProto.INT64, ["batch"]),
                *(value(name, floats, ["batch", hidden]) for name in carries),
            ],
            [
                value("logits", floats, ["batch", vocab]),
                *(value(f"next_{name}", floats, ["batch", hidden]) for name in carries),
            ],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="flaxchar",
    )
    onnx.helper.set_model_props(model, {KEY: describe_model(trained)})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


class _Graph:
    """The operators and constants of a graph, added one after another."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._helper, self._numpy_helper = helper, numpy_helper

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add an array under a name, and return the name."""
        self.constants.append(self._numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator with one output, and return the name of the output."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, inputs, [output], **attributes))
        return output

    def split(self, value: str, count: int) -> list[str]:
        """Cut the last axis into equal parts."""
        outputs = [f"gate_{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(self._helper.make_node("Split", [value], outputs, axis=-1))
        return outputs


def _step(graph: _Graph, trained: TrainedModel, params: dict[str, Any]) -> list[Any]:
    """Add one step. Returns ``"logits"``, then for each layer the names of its carry."""
    settings = trained.config.model
    hidden, outputs = "ids", []
    if settings.embedding:
        hidden = graph.add("Gather", graph.constant("embedding", params["embedding"]), "ids")
    for number in range(settings.layers):
        layer = {
            name: graph.constant(f"{settings.cell}_{number}.{name}", array)
            for name, array in params[f"{settings.cell}_{number}"].items()
        }
        read = hidden
        if settings.layer_norm and number > 0:
            read = _layer_norm(graph, hidden, number - 1, params)
        # An id stands for its one-hot vector, so it selects a row of the kernel.
        product = graph.add("Gather", layer["kernel"], read) if read == "ids" else None
        projected = graph.add("Add", product or graph.add("MatMul", read, layer["kernel"]), layer["bias"])
        carry = [f"{name}_{number}" for name in _CARRY_NAMES[: CELLS[settings.cell].states]]
        written = _CELLS[settings.cell](graph, projected, layer, carry)
        hidden = graph.add("Add", hidden, written) if settings.residual and number > 0 else written
        outputs.append(carry)
    if settings.layer_norm:
        hidden = _layer_norm(graph, hidden, settings.layers - 1, params)
    kernel, bias = (graph.constant(f"logits.{name}", params["logits"][name]) for name in ("kernel", "bias"))
    return [graph.add("Add", graph.add("MatMul", hidden, kernel), bias, name="logits"), *outputs]


def _layer_norm(graph: _Graph, value: str, number: int, params: dict[str, Any]) -> str:
    scale, bias = (
        graph.constant(f"norm_{number}.{name}", params[f"norm_{number}"][name]) for name in ("scale", "bias")
    )
    return graph.add("LayerNormalization", value, scale, bias, axis=-1, epsilon=_LAYER_NORM_EPSILON)


def _lstm(graph: _Graph, projected: str, layer: dict[str, str], carry: Sequence[str]) -> str:
    h, c = carry
    gates = graph.add("Add", projected, graph.add("MatMul", h, layer["recurrent_kernel"]))
    i, f, g, o = graph.split(gates, 4)
    kept = graph.add("Mul", graph.add("Sigmoid", f), c)
    new = graph.add("Add", kept, graph.add("Mul", graph.add("Sigmoid", i), graph.add("Tanh", g)), name=f"next_{c}")
    return graph.add("Mul", graph.add("Sigmoid", o), graph.add("Tanh", new), name=f"next_{h}")


def _gru(graph: _Graph, projected: str, layer: dict[str, str], carry: Sequence[str]) -> str:
    (h,) = carry
    recurrent = graph.add("Add", graph.add("MatMul", h, layer["recurrent_kernel"]), layer["recurrent_bias"])
    a_z, a_r, a_n = graph.split(projected, 3)
    q_z, q_r, q_n = graph.split(recurrent, 3)
    z = graph.add("Sigmoid", graph.add("Add", a_z, q_z))
    r = graph.add("Sigmoid", graph.add("Add", a_r, q_r))
    n = graph.add("Tanh", graph.add("Add", a_n, graph.add("Mul", r, q_n)))
    # z h + (1 - z) n = n + z (h - n)
    return graph.add("Add", n, graph.add("Mul", z, graph.add("Sub", h, n)), name=f"next_{h}")


def _rnn(graph: _Graph, projected: str, layer: dict[str, str], carry: Sequence[str]) -> str:
    (h,) = carry
    recurrent = graph.add("MatMul", h, layer["recurrent_kernel"])
    return graph.add("Tanh", graph.add("Add", projected, recurrent), name=f"next_{h}")


def _mingru(graph: _Graph, projected: str, layer: dict[str, str], carry: Sequence[str]) -> str:
    (h,) = carry
    a_z, n = graph.split(projected, 2)
    return _mixed(graph, h, n, graph.add("Sigmoid", graph.add("Neg", a_z)))


def _minlstm(graph: _Graph, projected: str, layer: dict[str, str], carry: Sequence[str]) -> str:
    (h,) = carry
    a_f, a_i, n = graph.split(projected, 3)
    # f / (f + i) = sigmoid(log f - log i), and -log sigmoid(a) = softplus(-a).
    minus_log_f, minus_log_i = (graph.add("Softplus", graph.add("Neg", a)) for a in (a_f, a_i))
    return _mixed(graph, h, n, graph.add("Sigmoid", graph.add("Sub", minus_log_i, minus_log_f)))


def _mixed(graph: _Graph, h: str, n: str, kept: str) -> str:
    """``kept * h + (1 - kept) * n``: the new state of a minGRU or minLSTM, whose gates depend only on the input."""
    return graph.add("Add", n, graph.add("Mul", kept, graph.add("Sub", h, n)), name=f"next_{h}")


_CELLS = {"lstm": _lstm, "gru": _gru, "rnn": _rnn, "mingru": _mingru, "minlstm": _minlstm}
