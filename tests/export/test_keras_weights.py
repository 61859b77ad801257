"""Keras' names and layouts: what Keras reads and writes where it is installed, and the way back everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from exports import jax_logits, python_with, random_model, run_python, same_params, some_ids, told

from flaxchar.export.importing import read_model
from flaxchar.export.keras_weights import _hdf5, keras_arrays, weights_from_keras
from flaxchar.export.weights import plain_weights

MODELS = [
    {"cell": cell, "embedding": embedding, "layers": 2} for cell in ("lstm", "gru", "rnn") for embedding in (0, 5)
]
# Any backend will do.
BEGIN = """
import importlib.util, os, sys
os.environ["KERAS_BACKEND"] = "tensorflow" if importlib.util.find_spec("tensorflow") else "torch"
sys.path.insert(0, ".")
import keras, numpy as np
"""


def test_names_and_shapes_are_the_documented_ones():
    arrays = keras_arrays(plain_weights(random_model(cell="gru", embedding=5, layers=2)))
    assert {name: array.shape for name, array in arrays.items()} == {
        "layers/embedding/vars/0": (20, 5),
        "layers/gru/cell/vars/0": (5, 36),
        "layers/gru/cell/vars/1": (12, 36),
        "layers/gru/cell/vars/2": (2, 36),
        "layers/gru_1/cell/vars/0": (12, 36),
        "layers/gru_1/cell/vars/1": (12, 36),
        "layers/gru_1/cell/vars/2": (2, 36),
        "layers/dense/vars/0": (12, 20),
        "layers/dense/vars/1": (20,),
    }


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_an_export_is_read_back(settings, tmp_path):
    lm = random_model(**settings)
    lm.export(tmp_path / "out", to="keras")
    again = read_model(tmp_path / "out" / "model.weights.h5", tmp_path / "out" / "flaxchar.json")
    assert same_params(again, lm)
    assert again.vocabulary == lm.vocabulary


@pytest.mark.slow  # Keras takes seconds to start
def test_keras_itself_gives_the_logits_of_jax_and_what_it_saves_is_read(tmp_path):
    python = python_with("keras", "keras", "h5py")
    models = [random_model(**settings) for settings in MODELS]
    for number, lm in enumerate(models):
        lm.export(tmp_path / f"m{number}", to="keras")
    np.save(tmp_path / "ids.npy", some_ids(models[0]))
    program = f"""{BEGIN}
out = {{}}
for number in range({len(models)}):
    sys.path.insert(0, f"m{{number}}")
    sys.modules.pop("model", None)
    import model as module
    model, tokens = module.load()
    out[f"logits{{number}}"] = keras.ops.convert_to_numpy(model(np.load("ids.npy")))
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
    model.save_weights(f"{{number}}.weights.h5")
    model.save(f"{{number}}.keras")
    sys.path.pop(0)
np.savez("out.npz", **out)
"""
    out = run_python(python, program, tmp_path)
    for number, lm in enumerate(models):
        np.testing.assert_allclose(out[f"logits{number}"], jax_logits(lm, some_ids(lm)), atol=1e-5, rtol=0)
        for saved in (tmp_path / f"{number}.weights.h5", tmp_path / f"{number}.keras"):
            assert same_params(read_model(saved, lm.vocabulary), lm)


NOTEBOOK = """
layers = keras.layers
model = keras.Sequential([
    keras.Input((None, 20)), layers.Masking(), layers.LSTM(12, return_sequences=True, dropout=0.1),
    layers.Dropout(0.1), layers.TimeDistributed(layers.Dense(20, activation="softmax")),
])
model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
x = np.eye(20, dtype="float32")[np.load("ids.npy")]
model.fit(x, x, epochs=1, verbose=0)
model.save("notebook.keras")
model.save_weights("notebook.weights.h5")
np.savez("out.npz", probabilities=keras.ops.convert_to_numpy(model(x)))
other = keras.Sequential([keras.Input((None,)), layers.Embedding(20, 5),
                          layers.GRU(12, return_sequences=True, reset_after=False), layers.Dense(20)])
other.save("other.keras")
keras.Sequential([keras.Input((None, 20)), layers.Bidirectional(layers.LSTM(12)), layers.Dense(20)]).save("two.keras")
keras.Sequential([keras.Input((None, 20)), layers.LSTM(12, activation="relu"), layers.Dense(20)]).save("relu.keras")
"""


@pytest.mark.slow  # Keras takes seconds to start
def test_a_notebooks_model_is_read_with_its_optimizer_dropout_and_softmax(tmp_path):
    python = python_with("keras", "keras", "h5py")
    lm = random_model()
    np.save(tmp_path / "ids.npy", some_ids(lm))
    out = run_python(python, BEGIN + NOTEBOOK, tmp_path)
    for name in ("notebook.keras", "notebook.weights.h5"):
        again = read_model(tmp_path / name, lm.vocabulary)
        logits = np.asarray(jax_logits(again, some_ids(lm)), np.float64)
        powers = np.exp(logits)
        np.testing.assert_allclose(powers / powers.sum(-1, keepdims=True), out["probabilities"], atol=1e-5, rtol=0)
    assert "a layer GRU with reset_after=False; flaxchar's has True" in told(
        read_model, tmp_path / "other.keras", lm.vocabulary
    )
    assert "a layer Bidirectional" in told(read_model, tmp_path / "two.keras", lm.vocabulary)
    assert "a layer LSTM with activation='relu'" in told(read_model, tmp_path / "relu.keras", lm.vocabulary)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layers/dense/vars/1": None}, "1 arrays of dense layers"),
        ({"layers/dense_1/vars/0": np.zeros(3)}, "3 arrays of dense layers"),
        ({"layers/embedding_1/vars/0": np.zeros((20, 5))}, "2 embeddings"),
        ({"layers/embedding/vars/0": np.float32(1)}, "an embedding of the shape []"),
        ({"layers/gru/cell/vars/0": np.zeros((5, 36))}, "gru and lstm layers"),
        ({"layers/lstm/cell/vars/2": None}, "lstm 1 has 2 arrays"),
        ({"layers/lstm/cell/vars/0": np.zeros(3)}, "lstm 1 has kernels of the shapes [3] and [12, 48]"),
        ({"layers/lstm/cell/vars/2": np.zeros((2, 48))}, "lstm_0.bias has the shape [2, 48]; it must be [48]"),
        ({"layers/conv1d/vars/0": np.zeros(3)}, "holds layers/conv1d/vars/0"),
        ({"layers/lstm/vars/0": np.zeros(3)}, "holds layers/lstm/vars/0"),
        ({"layers/bidirectional/forward_layer/cell/vars/0": np.zeros(3)}, "holds layers/bidirectional/forward_layer"),
        ({"layers/lstm/cell/vars/1": np.full((12, 48), np.nan)}, "not finite"),
    ],
)
def test_models_that_flaxchar_does_not_have_are_refused(change, expected, tmp_path):
    lm = random_model(embedding=5)
    arrays = {**keras_arrays(plain_weights(lm)), **change}
    path = tmp_path / "a.weights.h5"
    path.write_bytes(_hdf5({name: array for name, array in arrays.items() if array is not None}))
    assert expected in told(read_model, path, lm.vocabulary)


def test_a_gru_without_reset_after_is_refused(tmp_path):
    arrays = {**keras_arrays(plain_weights(random_model(cell="gru"))), "layers/gru/cell/vars/2": np.zeros(36)}
    assert "a GRU with reset_after=True" in told(weights_from_keras, arrays, tmp_path / "a.weights.h5")


def test_layers_come_in_the_order_of_their_numbers():
    weights = plain_weights(random_model(layers=12, hidden=2))
    again = weights_from_keras(dict(sorted(keras_arrays(weights).items())), None)
    for one, other in zip(again.layers, weights.layers, strict=True):
        np.testing.assert_array_equal(one["kernel"], other["kernel"])
