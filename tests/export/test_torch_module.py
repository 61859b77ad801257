"""PyTorch's names and layouts: by the equations of its documentation, and by PyTorch itself where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from exports import jax_logits, python_with, random_model, run_python, same_params, some_ids, told, vocabulary_file

from flaxchar.export.importing import read_model
from flaxchar.export.torch_module import torch_files, torch_tensors
from flaxchar.export.weights import plain_weights

MODELS = [
    {"cell": cell, "embedding": embedding, "layers": 2} for cell in ("lstm", "gru", "rnn") for embedding in (0, 5)
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def torch_layer(cell, x, w_ih, w_hh, b_ih, b_hh):
    """A layer of torch.nn over ``[time, inputs]``, as its documentation defines it."""
    units = w_hh.shape[1]
    h, c = np.zeros(units), np.zeros(units)
    states = []
    for x_t in x:
        a, q = w_ih @ x_t + b_ih, w_hh @ h + b_hh
        if cell == "lstm":
            i, f, g, o = np.split(a + q, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif cell == "gru":
            (a_r, a_z, a_n), (q_r, q_z, q_n) = np.split(a, 3), np.split(q, 3)
            r, z = sigmoid(a_r + q_r), sigmoid(a_z + q_z)
            n = np.tanh(a_n + r * q_n)
            h = (1 - z) * n + z * h
        else:
            h = np.tanh(a + q)
        states.append(h)
    return np.array(states)


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_the_equations_of_torch_nn_give_the_logits_of_jax(settings):
    lm = random_model(**settings)
    tensors, cell = torch_tensors(plain_weights(lm)), settings["cell"]
    [ids] = some_ids(lm, batch=1)
    x = tensors.get("embedding.weight", np.eye(lm.vocabulary.size))[ids]
    for number in range(2):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        x = torch_layer(cell, x, *(tensors[f"{cell}.{name}_l{number}"] for name in names))
    logits = x @ tensors["logits.weight"].T + tensors["logits.bias"]
    np.testing.assert_allclose(logits, jax_logits(lm, ids[None])[0], atol=1e-5, rtol=0)


PROGRAM = """
import sys
import numpy as np, torch
out = {}
for number in range(6):
    sys.path.insert(0, f"m{number}")
    sys.modules.pop("model", None)
    from model import load, write
    model, tokens = load()
    logits, state = model(torch.tensor(np.load("ids.npy")).long())
    out[f"logits{number}"] = logits.detach().numpy()
    out[f"text{number}"] = write(model, tokens, "An", temperature=0, size=40)
    out[f"drawn{number}"] = write(model, tokens)
np.savez("out.npz", **out)
"""


@pytest.mark.slow  # PyTorch takes seconds to start
def test_pytorch_itself_gives_the_logits_and_the_greedy_text_of_jax(tmp_path):
    python = python_with("torch", "torch", "safetensors")
    models = [random_model(**settings) for settings in MODELS]
    ids = some_ids(models[0])
    for number, lm in enumerate(models):
        lm.export(tmp_path / f"m{number}", to="torch")
    np.save(tmp_path / "ids.npy", ids)
    out = run_python(python, PROGRAM, tmp_path)
    for number, lm in enumerate(models):
        np.testing.assert_allclose(out[f"logits{number}"], jax_logits(lm, ids), atol=1e-5, rtol=0)
        assert str(out[f"text{number}"]) == lm.generate("An", temperature=0, size=40)[0]
        assert set(str(out[f"drawn{number}"])) <= set(lm.vocabulary.tokens)


def test_model_py_says_what_begins_a_text_and_names_the_labels():
    model = torch_files(random_model(labels=("good", "bad"), bos=False))["model.py"].decode()
    namespace: dict = {}
    lines = [line for line in model.splitlines() if line.split(" = ")[0] in ("START", "BEGIN", "LABELS", "EOS")]
    exec("\n".join(lines), namespace)
    assert namespace["LABELS"] == {"good": 19, "bad": 20}
    assert namespace["START"] == namespace["BEGIN"] == [19]
    assert namespace["EOS"] == 21
    compile(model, "model.py", "exec")


def saved(path, lm, change=None, prefix=("rnn.", "fc.")):
    """A state_dict as a PyTorch user saves it, under names of their own and without a description."""
    tensors = torch_tensors(plain_weights(lm))
    cell = lm.config.model.cell
    renamed = {
        name.replace(f"{cell}.", prefix[0], 1).replace("logits.", prefix[1]).replace("embedding.", "enc."): tensor
        for name, tensor in tensors.items()
    }
    kept = {name: tensor for name, tensor in {**renamed, **(change or {})}.items() if tensor is not None}
    safetensors.numpy.save_file({name: np.ascontiguousarray(tensor) for name, tensor in kept.items()}, path)
    return path


@pytest.mark.parametrize("settings", MODELS, ids=str)
@pytest.mark.parametrize("prefix", [("rnn.", "fc."), ("net.lstm.core.", "net.head.2.")])
def test_a_state_dict_under_any_names_is_read(settings, prefix, tmp_path):
    lm = random_model(**settings)
    path = saved(tmp_path / "a.safetensors", lm, prefix=prefix)
    again = read_model(path, vocabulary_file(tmp_path / "v.json", lm.vocabulary))
    assert same_params(again, lm)
    assert not again.config.data.bos
    assert read_model(path, tmp_path / "v.json", bos=True).config.data.bos


def test_both_biases_count_and_missing_ones_are_zero(tmp_path):
    lm = random_model()
    second = np.full(48, 0.25, np.float32)
    path = saved(tmp_path / "a.safetensors", lm, {"rnn.bias_hh_l0": second})
    again = read_model(path, lm.vocabulary)
    np.testing.assert_array_equal(again.params["lstm_0"]["bias"], lm.params["lstm_0"]["bias"] + second)
    path = saved(tmp_path / "a.safetensors", lm, {"rnn.bias_hh_l0": None, "rnn.bias_ih_l0": None})
    assert not read_model(path, lm.vocabulary).params["lstm_0"]["bias"].any()


ZEROS = np.zeros((12, 12), np.float32)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rnn.weight_hr_l0": ZEROS}, "an LSTM with a projection"),
        ({"rnn.weight_ih_l0_reverse": ZEROS}, "a layer that reads backwards"),
        ({"other.weight_ih_l0": ZEROS}, "2 recurrent modules (other, rnn)"),
        ({"rnn.weight_hh_l0": None}, "no rnn.weight_hh_l0"),
        ({"rnn.weight_ih_l0": np.zeros(48, np.float32)}, "must be a matrix"),
        ({"rnn.weight_hh_l0": np.zeros((48, 7), np.float32)}, "weight_ih_l0 has 48 rows for 7 units"),
        ({"rnn.weight_hh_l0": np.zeros((48, 0), np.float32)}, "weight_ih_l0 has 48 rows for 0 units"),
        ({"rnn.weight_ih_l2": ZEROS}, "no rnn.weight_ih_l1"),
        ({"rnn.bias_ih_l0": np.zeros(3, np.float32)}, "rnn.bias_ih_l0 has the shape [3]; it must be [48]"),
        ({"fc.bias": None}, "0 linear layers with a bias"),
        ({"fc2.bias": np.zeros(3, np.float32), "fc2.weight": ZEROS}, "2 linear layers with a bias"),
        ({"fc.weight": None}, "no fc.weight"),
        ({"norm.scale": np.zeros(3, np.float32)}, "holds norm.scale"),
        ({"enc.weight": np.zeros(3, np.float32)}, "enc.weight has the shape [3]; it must be a matrix"),
        ({"enc.weight": np.zeros((20, 3), np.float32)}, "lstm_0.kernel has the shape [20, 48]; it must be [3, 48]"),
        ({"rnn.weight_hh_l0": np.full((48, 12), np.nan, np.float32)}, "not finite"),
        ({"fc.bias": np.zeros(4, np.float32)}, "the model has 4 ids, but the vocabulary makes 20"),
    ],
)
def test_modules_that_flaxchar_does_not_have_are_refused(change, expected, tmp_path):
    lm = random_model(embedding=0)
    path = saved(tmp_path / "a.safetensors", lm, change)
    assert expected in told(read_model, path, lm.vocabulary)
