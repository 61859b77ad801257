"""Fixtures of the model's tests: small models, and their parameters."""

from __future__ import annotations

import jax
import pytest
from helpers import VOCAB

from flaxchar import CharLM, ModelConfig, init_params


@pytest.fixture(params=[(1, 0), (2, 0), (1, 5)], ids=["one layer", "two layers", "embedding"])
def model(request):
    layers, embedding = request.param
    return CharLM(VOCAB, ModelConfig(hidden=16, layers=layers, embedding=embedding))


@pytest.fixture
def params(model):
    return init_params(model, jax.random.key(0))
