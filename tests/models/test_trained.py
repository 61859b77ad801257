"""The record of a trained model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import Config, InputError, Vocabulary, init_params
from flaxchar.models.charlm import make_model
from flaxchar.models.trained import TrainedModel


def make_trained():
    vocabulary, config = Vocabulary(tuple("abc")), Config().replace(hidden=8, embedding=4, cell="gru")
    return TrainedModel(init_params(make_model(vocabulary, config.model), jax.random.key(0)), vocabulary, config)


def test_the_model_of_a_record_is_that_of_its_vocabulary_and_settings():
    trained = make_trained()
    vocabulary, config = trained.vocabulary, trained.config
    assert trained.model == make_model(vocabulary, config.model)
    assert trained.model is trained.model
    logits, _ = trained.model.apply({"params": trained.params}, jnp.ones((1, 2), jnp.int32))
    assert logits.shape == (1, 2, vocabulary.size)


def test_a_record_prints_in_a_line_and_is_compared_and_hashed_as_an_object():
    one, other = make_trained(), make_trained()
    assert repr(one) == "<TrainedModel: gru of 1 × 8 units, 5 ids>"
    assert one == one
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize("settings", [{"hidden": 16}, {"layers": 2}, {"cell": "lstm"}])
def test_parameters_of_another_model_are_refused(settings):
    trained = make_trained()
    with pytest.raises(InputError, match=r"`params` is of another model than `vocabulary` and `config`: "):
        TrainedModel(trained.params, trained.vocabulary, trained.config.replace(**settings))
    with pytest.raises(InputError, match=r"embedding has the shape \(5, 4\), not \(6, 4\); give the three"):
        TrainedModel(trained.params, Vocabulary(tuple("abcd")), trained.config)


@pytest.mark.parametrize(
    ("layer", "name", "change", "told"),
    [
        ("logits", "kernel", np.transpose, r"logits.kernel has the shape \(5, 8\), not \(8, 5\)"),
        ("gru_0", "bias", lambda array: array.astype(np.float64), "is an array of float64, not of float32"),
        ("gru_0", "bias", lambda array: array.astype(">f4"), "is an array of >f4, not of float32"),
        ("gru_0", "kernel", np.ndarray.tolist, "gru_0.kernel is missing"),
    ],
)
def test_parameters_of_another_shape_or_dtype_are_refused_by_name(layer, name, change, told):
    trained = make_trained()
    params = jax.tree.map(np.array, trained.params)
    params[layer][name] = change(params[layer][name])
    with pytest.raises(InputError, match=told):
        TrainedModel(params, trained.vocabulary, trained.config)


def test_missing_and_other_parameters_are_refused_by_name():
    trained = make_trained()
    for params, told in (
        ({"params": trained.params}, "embedding is missing"),
        ({**trained.params, "more": np.zeros(3, np.float32)}, "more belongs to no layer"),
    ):
        with pytest.raises(InputError, match=told):
            TrainedModel(params, trained.vocabulary, trained.config)


def test_arrays_of_numpy_and_of_jax_are_parameters():
    trained = make_trained()
    assert TrainedModel(jax.tree.map(np.asarray, trained.params), trained.vocabulary, trained.config).model


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("vocabulary", None, "it must be a flaxchar.Vocabulary"),
        ("config", {"hidden": 8}, "it must be a flaxchar.Config"),
        ("params", None, "embedding is missing"),
        ("params", [1.0], "embedding is missing"),
    ],
)
def test_values_of_other_types_are_refused_by_name(name, value, told):
    trained = make_trained()
    setattr(trained, name, value)
    with pytest.raises(InputError, match=rf"`{name}` is .*{told}"):
        trained.__post_init__()  # the tests check the types of calls, so a call would not reach it
