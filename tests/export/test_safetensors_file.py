"""safetensors: everything comes back, the names are the documented ones, and hostile files are refused."""

from __future__ import annotations

import json
import struct

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from exports import random_model, same_params, told

from flaxchar.export.importing import read_model
from flaxchar.export.metadata import KEY, describe_model
from flaxchar.export.safetensors_file import read_safetensors, safetensors_bytes


@pytest.fixture(scope="module")
def lm():
    return random_model(embedding=5, layers=2, residual=True, layer_norm=True, cell="minlstm")


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "gru", "layers": 2},
        {"cell": "minlstm", "layers": 2, "residual": True, "layer_norm": True, "embedding": 5},
        {"sources": True, "embedding": 5},
        {"labels": ("good", "bad"), "bos": False},
        {"unit": "word", "max_vocab": 4},
        {"head": "classifier", "labels": ("good", "bad")},
    ],
    ids=str,
)
def test_every_model_comes_back_whole(settings, tmp_path):
    lm = random_model(**settings)
    (tmp_path / "a.safetensors").write_bytes(safetensors_bytes(lm))
    again = read_model(tmp_path / "a.safetensors")
    assert same_params(again, lm)
    assert (again.config, again.vocabulary) == (lm.config, lm.vocabulary)


def test_names_shapes_and_description_are_the_documented_ones(lm, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(safetensors_bytes(lm))
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="np") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        record = json.loads(file.metadata()["flaxchar"])
    assert shapes == {
        "embedding": [20, 5],
        "minlstm_0.kernel": [5, 36],
        "minlstm_0.bias": [36],
        "minlstm_1.kernel": [12, 36],
        "minlstm_1.bias": [36],
        "norm_0.scale": [12],
        "norm_0.bias": [12],
        "norm_1.scale": [12],
        "norm_1.bias": [12],
        "logits.kernel": [12, 20],
        "logits.bias": [20],
    }
    assert record["vocabulary"]["tokens"] == list(lm.vocabulary.tokens)
    assert record["config"]["model"]["cell"] == "minlstm"


def test_the_same_model_makes_the_same_file(lm):
    assert safetensors_bytes(lm) == safetensors_bytes(lm)


def test_other_floating_point_types_become_float32(lm, tmp_path):
    tensors = {
        ".".join(part.key for part in path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(lm.params)
    }
    for kind in (np.float16, np.float64, ml_dtypes.bfloat16):
        given = {name: tensor.astype(kind) for name, tensor in tensors.items()}
        safetensors.numpy.save_file(given, tmp_path / "a.safetensors", {KEY: describe_model(lm)})
        again = read_safetensors(tmp_path / "a.safetensors").tensors
        for name, tensor in given.items():
            assert again[name].dtype == np.float32
            np.testing.assert_array_equal(again[name], tensor.astype(np.float32))


def forged(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def claim(dtype: str = "F32", shape: tuple = (1,), offsets: tuple = (0, 4)) -> dict:
    return {"logits.bias": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        forged({}, length=2**63),
        forged({}, length=10**9),
        forged(b"{" * 1000),
        forged([1]),
        forged(claim(), b""),  # the tensor lies outside the file
        forged(claim(offsets=(0, 2**62)), bytes(4)),
        forged(claim(shape=(2**62, 2**62)), bytes(4)),
        forged(claim(shape=(2,)), bytes(4)),
        forged(claim(shape=(-1,)), bytes(4)),
        forged(claim(dtype="X9"), bytes(4)),
        forged(claim(dtype="I64", offsets=(0, 8)), bytes(8)),
        forged(claim(dtype="BOOL", offsets=(0, 1)), bytes(1)),
        forged(claim(), bytes(4)),
        forged({**claim(), "__metadata__": {KEY: "{"}}, bytes(4)),
    ],
    ids=range(16),
)
def test_hostile_files_are_refused_in_a_sentence_that_names_the_file(content, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    assert "bad.safetensors" in told(read_model, path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"logits.kernel": None}, "no logits.kernel"),
        ({"extra": np.zeros(3, np.float32)}, "has extra"),
        ({"logits.kernel.deeper": np.zeros(3, np.float32)}, "deeper"),
        ({"minlstm_0.bias": np.zeros(3, np.float32)}, "minlstm_0.bias has the shape [3]; it must be [36]"),
        ({"embedding": np.full((20, 5), np.nan, np.float32)}, "not finite"),
        ({"embedding": np.full((20, 5), 1e300)}, "not finite"),
    ],
)
def test_tensors_that_do_not_fit_the_description_are_named(lm, change, expected, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors_bytes(lm))
    tensors = {**safetensors.numpy.load_file(path), **change}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors.numpy.save_file(kept, path, {KEY: describe_model(lm)})
    assert expected in told(read_model, path)
