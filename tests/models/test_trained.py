"""The record of a trained model."""

import jax
import jax.numpy as jnp
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
    with pytest.raises(InputError, match=r"`params` holds 401 numbers, but `vocabulary` and `config` make a model of"):
        TrainedModel(trained.params, trained.vocabulary, trained.config.replace(**settings))
    with pytest.raises(InputError, match=r"`params` holds 401 numbers"):
        TrainedModel(trained.params, Vocabulary(tuple("abcd")), trained.config)
