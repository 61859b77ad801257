"""The record of a trained model."""

import jax
import jax.numpy as jnp

from flaxchar import Config, Vocabulary, init_params
from flaxchar.models.charlm import make_model
from flaxchar.models.trained import TrainedModel


def test_the_model_of_a_record_is_that_of_its_vocabulary_and_settings():
    vocabulary, config = Vocabulary(tuple("abc")), Config().replace(hidden=8, embedding=4, cell="gru")
    model = make_model(vocabulary, config.model)
    trained = TrainedModel(init_params(model, jax.random.key(0)), vocabulary, config)
    assert trained.model == model
    assert trained.model is trained.model
    logits, _ = trained.model.apply({"params": trained.params}, jnp.ones((1, 2), jnp.int32))
    assert logits.shape == (1, 2, vocabulary.size)
