"""The programs of a step: gradients of texts that share a row, and updates that explode."""

from __future__ import annotations

import jax
import numpy as np
from helpers import small_training

from flaxchar import ModelConfig, TrainingConfig
from flaxchar.data.batches import TextBatches
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.packed import PackedBatches
from flaxchar.models.charlm import CharLM, init_params
from flaxchar.training.gradients import apply_gradients, batch_gradients, loss_gradients, row_keys
from flaxchar.training.state import copy_tree

EOS = 9


def random_texts(count, longest):
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, EOS, rng.integers(1, longest + 1)).astype(np.uint8) for _ in range(count)]
    return EncodedTexts(np.concatenate(texts), np.cumsum([0, *map(len, texts)]))


def test_texts_in_one_row_have_the_loss_and_gradient_of_rows_of_their_own():
    texts = random_texts(30, 30)
    model = CharLM(EOS + 1, ModelConfig(hidden=6, embedding=4, layers=2, dropout=0.0))
    params, keys = init_params(model, jax.random.key(0)), jax.random.split(jax.random.key(1), 64)
    packed, apart = PackedBatches(texts, 64, EOS), TextBatches(texts, 64, EOS, buckets=1)
    sums = []
    for batches in (packed, apart):
        assert batches.steps_per_epoch == 1
        batch = batches.batch(0)
        gradients, nats, tokens, _ = loss_gradients(model, params, batch, (), keys[: len(batch.inputs)])
        sums.append((gradients, nats, tokens))
    assert len(packed.batch(0).inputs) < len(apart.batch(0).inputs) / 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *sums)


def test_an_update_that_explodes_changes_nothing_but_the_counters():
    model, optimizer, batches, state = small_training(TrainingConfig())
    keys = row_keys(jax.random.key(0), state.step, batches.rows)
    sums = batch_gradients(model, state.params, state.carry, batches.batch(0), keys)
    before = copy_tree(state)
    after, _ = apply_gradients(optimizer, state, sums._replace(nats=np.float32(np.nan)), np.float32(0.1))
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    assert (int(after.step), int(after.skipped)) == (1, 1)
