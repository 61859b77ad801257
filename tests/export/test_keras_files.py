"""Keras' files within bounds: links, compression, sizes beyond the file and other layers are refused."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile

import h5py
import numpy as np
import pytest
from exports import told

from flaxchar import InputError
from flaxchar.export import keras_files
from flaxchar.export.keras_files import check_description, read_hdf5, read_keras


def hdf5(fill) -> bytes:
    """An HDF5 file that a function fills."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def some_weights(file):
    file["layers/dense/vars/0"] = np.ones((2, 3), np.float64)
    file["optimizer/vars/0"] = np.ones(3)


def test_the_layers_are_read_and_the_optimizer_is_not(tmp_path):
    arrays = read_hdf5(hdf5(some_weights), tmp_path)
    assert list(arrays) == ["layers/dense/vars/0"]
    assert arrays["layers/dense/vars/0"].dtype == np.float32


def external_link(file):
    file["layers/a"] = h5py.ExternalLink("/etc/passwd", "/")


def external_layers(file):
    file["layers"] = h5py.ExternalLink("other.h5", "/layers")


def soft_link(file):
    file["other"] = np.ones(3)
    file["layers/a"] = h5py.SoftLink("/other")


def external_storage(file):
    file.create_dataset("layers/a", (3,), np.float32, external=[("/etc/passwd", 0, 12)])


def virtual(file):
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "a", (3,))
    file.create_virtual_dataset("layers/a", layout)


def compressed(file):
    file.create_dataset("layers/a", data=np.zeros((1000, 1000), np.float32), compression="gzip")


def unwritten(file):
    file.create_dataset("layers/a", (1 << 40,), np.float32)  # takes no room in the file


def many_unwritten(file):
    file["layers/pad"] = np.ones(1 << 18, np.float32)
    for number in range(40):
        file.create_dataset(f"layers/a{number}", (1 << 18,), np.float32)


def circle(file):
    file.create_group("layers/a")
    file["layers/a/again"] = file["layers"]


def many_groups(file):
    for number in range(61):
        file.create_group(f"layers/{number}")


def text(file):
    file["layers/a"] = "text"


def whole_numbers(file):
    file["layers/a"] = np.arange(3)


def references(file):
    file.create_dataset("layers/a", (1,), h5py.ref_dtype)


def named_type(file):
    file["layers/a"] = np.dtype(np.float32)


def array_for_layers(file):
    file["layers"] = np.ones(3)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (external_link, "layers/a is a link"),
        (external_layers, "no group layers"),
        (soft_link, "layers/a is a link"),
        (external_storage, "compressed or lies outside"),
        (virtual, "compressed or lies outside"),
        (compressed, "compressed or lies outside"),
        (unwritten, "claims 4,398,046,511,104 bytes, more than the file has"),
        (many_unwritten, "claims more numbers than it holds"),
        (circle, "more groups than a model has"),
        (many_groups, "more groups than a model has"),
        (text, "no floating-point numbers"),
        (whole_numbers, "no floating-point numbers"),
        (references, "no floating-point numbers"),
        (named_type, "no floating-point numbers"),
        (array_for_layers, ""),
        (lambda file: None, "no group layers; it must be written by save_weights of Keras 3"),
    ],
)
def test_hostile_hdf5_is_refused(fill, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_files, "_MOST_OBJECTS", 60)
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(hdf5(fill))
    sentence = told(read_keras, path)
    assert expected in sentence
    assert "bad.weights.h5" in sentence


def test_damaged_hdf5_is_refused_or_read_never_crashes(tmp_path):
    whole, rng = hdf5(some_weights), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 8):
            data[position] = rng.integers(256)
        try:
            read_hdf5(bytes(data[: rng.integers(1, len(data) + 1)]), tmp_path)
        except ValueError as error:
            assert "no HDF5 file" in str(error) or str(tmp_path) in str(error)  # noqa: PT017


def archive(path, **members):
    names = {"config": "config.json", "weights": "model.weights.h5"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(names[name], content if isinstance(content, bytes | str) else json.dumps(content))
    return path


def described(*layers):
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def layer(kind, **settings):
    return {"class_name": kind, "config": settings}


LSTM = layer("LSTM", activation="tanh", recurrent_activation="sigmoid", use_bias=True)


def test_a_keras_archive_is_read(tmp_path):
    path = archive(tmp_path / "a.keras", config=described(LSTM, layer("Dense")), weights=hdf5(some_weights))
    assert list(read_keras(path)) == ["layers/dense/vars/0"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, "no config.json"),
        ({"config": "{", "weights": b""}, "config.json"),
        ({"config": described(LSTM)}, "no model.weights.h5"),
        ({"config": described(LSTM), "weights": b"text"}, "no HDF5 file"),
        ({"config": described(LSTM), "weights": bytes(1 << 27)}, "larger than"),
        ({"config": bytes(1 << 25), "weights": b""}, "larger than"),
        ({"config": [1], "weights": b""}, "no Sequential or Functional"),
        ({"config": {"config": 3}, "weights": b""}, "no Sequential or Functional"),
    ],
)
def test_hostile_archives_are_refused(members, expected, tmp_path):
    assert expected in told(read_keras, archive(tmp_path / "bad.keras", **members))


def test_a_damaged_archive_is_refused(tmp_path):
    path = archive(tmp_path / "bad.keras", config=described(LSTM), weights=hdf5(some_weights))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    path.write_bytes(whole[:-30])
    assert "no .keras file" in told(read_keras, path)
    for _ in range(200):
        data = bytearray(whole)
        for position in rng.integers(2, len(data), 4):
            data[position] = rng.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            read_keras(path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (layer("Lambda", function="code"), "a layer Lambda"),
        (layer("LSTM", recurrent_activation="hard_sigmoid"), "recurrent_activation='hard_sigmoid'"),
        (layer("LSTM", use_bias=False), "use_bias=False"),
        (layer("LSTM", go_backwards=True), "reads backwards"),
        (layer("GRU", reset_after=False), "reset_after=False"),
        (layer("Dense", activation="relu"), "activation='relu'"),
        (layer("Activation", activation="relu"), "activation='relu'"),
        (layer("Dense", activation={"a": 1}), "activation="),
        (layer("Dense", use_bias=1), "use_bias=1"),
        (layer("TimeDistributed", layer=layer("Dense", activation="relu")), "activation='relu'"),
        (layer("TimeDistributed"), "describes a layer as None"),
        ("LSTM", "describes a layer as 'LSTM'"),
        ({"class_name": 3}, "describes a layer as"),
    ],
)
def test_layers_with_other_settings_are_refused(given, expected, tmp_path):
    assert expected in told(check_description, described(LSTM, given), tmp_path)


@pytest.mark.parametrize("softmax", [layer("Softmax"), layer("Activation", activation="softmax")])
def test_a_softmax_comes_last(softmax, tmp_path):
    check_description(described(LSTM, layer("Dense"), softmax), tmp_path)
    assert "after a softmax" in told(check_description, described(LSTM, softmax, layer("Dense")), tmp_path)
    twice = described(LSTM, layer("Dense", activation="softmax"), softmax)
    assert "after a softmax" in told(check_description, twice, tmp_path)


def test_a_softmax_over_time_is_another_model(tmp_path):
    assert "axis=1" in told(check_description, described(LSTM, layer("Dense"), layer("Softmax", axis=1)), tmp_path)
