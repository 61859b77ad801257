"""ONNX: one step, run by onnxruntime over a sequence, gives the logits and the carry of JAX."""

from __future__ import annotations

import json

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from exports import jax_logits, random_model, some_ids, told

from flaxchar.export import onnx_step
from flaxchar.export.metadata import KEY
from flaxchar.export.onnx_step import onnx_bytes
from flaxchar.models.cells import CELLS

SETTINGS = [{"embedding": 0}, {"layers": 2, "embedding": 5}, {"layers": 2, "residual": True, "layer_norm": True}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "cell", [name if name in ("lstm", "gru") else pytest.param(name, marks=pytest.mark.slow) for name in CELLS]
)
def test_a_sequence_of_steps_gives_the_logits_of_jax(cell, settings):
    lm = random_model(cell=cell, **settings)
    session = onnxruntime.InferenceSession(onnx_bytes(lm))
    names = [node.name for node in session.get_inputs()]
    carry = {name: np.zeros((3, 12), np.float32) for name in names[1:]}
    ids, logits = some_ids(lm), []
    for column in ids.T:
        out, *after = session.run(None, {"ids": column.astype(np.int64), **carry})
        logits.append(out)
        carry = dict(zip(carry, after, strict=True))
    np.testing.assert_allclose(np.stack(logits, 1), jax_logits(lm, ids), atol=3e-5, rtol=0)
    _, expected = jax.jit(lm.model.apply)({"params": lm.params}, ids)
    for name, state in zip(carry, [state for layer in expected for state in layer], strict=True):
        np.testing.assert_allclose(carry[name], state, atol=1e-5, rtol=0)


def test_inputs_outputs_and_description_are_the_documented_ones():
    lm = random_model(layers=2)
    model = onnx.load_from_string(onnx_bytes(lm))
    shape = {
        node.name: [dim.dim_param or dim.dim_value for dim in node.type.tensor_type.shape.dim]
        for node in (*model.graph.input, *model.graph.output)
    }
    state = ["batch", 12]
    assert shape == {
        **{"ids": ["batch"], "h_0": state, "c_0": state, "h_1": state, "c_1": state, "logits": ["batch", 20]},
        **{f"next_{name}": state for name in ("h_0", "c_0", "h_1", "c_1")},
    }
    [prop] = model.metadata_props
    assert prop.key == KEY
    assert json.loads(prop.value)["vocabulary"]["tokens"] == list(lm.vocabulary.tokens)
    assert onnx_bytes(lm) == onnx_bytes(lm)


def test_weights_beyond_the_limit_of_a_file_are_refused(monkeypatch):
    monkeypatch.setattr(onnx_step, "_MOST_BYTES", 1000)
    assert "an ONNX file holds less than 2 GB" in told(onnx_bytes, random_model())
