"""Sizes: as many parameters as the network has, and a sentence where they are too many."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from flaxchar.config import Config, InputError
from flaxchar.models.cells import CELLS
from flaxchar.models.charlm import CharLM, count_params, init_params
from flaxchar.settings import ModelConfig, TrainingConfig
from flaxchar.sizes import count_parameters, in_bytes, step_bytes, too_large


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding", [0, 5])
@pytest.mark.parametrize("sources", [False, True])
def test_the_count_is_that_of_the_network(cell, embedding, sources):
    for layers, layer_norm in ((1, False), (3, True)):
        config = ModelConfig(cell=cell, layers=layers, hidden=6, embedding=embedding, layer_norm=layer_norm)
        model = CharLM(11, config, 4 if sources else None)
        params = jax.eval_shape(lambda model=model: init_params(model, jax.random.key(0)))
        assert count_parameters(config, 11, sources) == count_params(params)


def test_a_network_larger_than_the_memory_is_refused_with_an_estimate():
    model = ModelConfig(hidden=1000, layers=2)
    assert not list(too_large(model, TrainingConfig(), memory=10**12))
    (problem,) = too_large(model, TrainingConfig(optimizer="adam"), memory=10**8)
    assert problem == (
        "`layers` is 2, `hidden` is 1,000 and `embedding` is 0: that is 1.2e+07 parameters, and to train them takes "
        "144 MB or more, but this machine has 100 MB of memory; choose a smaller network"
    )
    with pytest.raises(InputError, match=r"`hidden` is 65,536 .* TB or more, but this machine has"):
        Config().replace(hidden=65_536, layers=1000).validate()
    Config().replace(hidden=65_536, layers=1000).validate(training=False)


def test_the_optimizer_and_the_average_count():
    model, memory = ModelConfig(hidden=1000), 20_000_000
    assert not list(too_large(model, TrainingConfig(optimizer="sgd"), memory))
    assert list(too_large(model, TrainingConfig(optimizer="sgd", ema=0.9), memory))
    assert list(too_large(model, TrainingConfig(optimizer="adam"), memory))


@pytest.mark.parametrize(("cell", "sources"), [*((cell, False) for cell in CELLS), ("lstm", True)])
def test_a_step_is_never_estimated_larger_than_what_its_backward_pass_keeps(cell, sources):
    """Else batches that fit would be refused."""
    config, rows, width = ModelConfig(cell=cell, hidden=16, layers=2), 4, 300 if sources else 64
    model = CharLM(20, config, source_end=18 if sources else None)
    ids = jnp.ones((rows, width), jnp.int32)

    def loss(params):
        logits, _ = model.apply({"params": params}, ids)
        return jax.nn.log_softmax(logits)[..., 0].sum()

    backward = jax.eval_shape(lambda: jax.vjp(loss, init_params(model, jax.random.key(0)))[1])
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))
    assert kept / 8 < step_bytes(config, rows, width, sources) <= kept


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (32 * 10**12, "32 TB"), (10**18, "1,000,000 TB")],
)
def test_bytes_in_words(count, words):
    assert in_bytes(count) == words
