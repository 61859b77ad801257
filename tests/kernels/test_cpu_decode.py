"""The native decode loop against a loop in Python that steps the same layers in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recurrences import make_weights, normal

from flaxchar.generation.sampling import Sampling, draw_token
from flaxchar.kernels import build
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.kernels.cpu_decode import DecodeBuffers, decode
from flaxchar.models.cells import CELLS

VOCAB, HIDDEN, TEXTS, LENGTH = 11, 12, 9, 14
EOS, BANNED = VOCAB - 1, (0, 3)

pytestmark = pytest.mark.usefixtures("native")


def make_model(cell):
    """Two layers and a head, sharp enough for the draws not to hang on the last bits."""
    first, _ = make_weights(cell, HIDDEN, VOCAB, 1)
    second, _ = make_weights(cell, HIDDEN, HIDDEN, 1)
    return [first, second], {"kernel": 2 * normal(7, HIDDEN, VOCAB), "bias": normal(8, VOCAB)}


def make_buffers():
    """Prompts of one to four tokens."""
    tokens = np.zeros((TEXTS, LENGTH), np.int32)
    lengths = np.arange(TEXTS, dtype=np.int32) % 4 + 1
    for row, length in enumerate(lengths):
        tokens[row, :length] = [EOS, 1, 2, 4][:length]
    states = np.zeros((2, TEXTS, 2, HIDDEN), np.float32)
    return DecodeBuffers(tokens, np.zeros(TEXTS, np.int32), np.zeros(TEXTS, bool), *states), lengths


def reference(cell, layers, head, prompt, limit, key, sampling):
    """One text, token by token."""
    step = jax.jit(lambda layer, x, carry: CELLS[cell].step(x, layer, carry, "float32"))
    carries = [(jnp.zeros((1, HIDDEN)),) * CELLS[cell].states for _ in layers]
    tokens, position = list(prompt), 0
    while position + 1 < limit:
        hidden = jnp.array(tokens[position : position + 1])
        for k, layer in enumerate(layers):
            hidden, carries[k] = step(layer, hidden, carries[k])
        position += 1
        if position == len(tokens):
            logits = (hidden @ head["kernel"] + head["bias"])[0].at[jnp.array(BANNED)].set(-jnp.inf)
            drawn = draw_token(
                logits, jax.random.fold_in(key, position - len(prompt)), sampling, filtered=sampling.filtered
            )
            tokens.append(int(drawn))
            if drawn == EOS:
                break
    return tokens


WAYS = {
    "greedy": Sampling(0.0),
    "t": Sampling(0.7),
    "k-p": Sampling(1.0, 4, 0.9),
    "min-p": Sampling(1.5, min_p=0.2),
    "all": Sampling(1.5, 5, 0.95, 0.05),
}


@pytest.mark.parametrize("sampling", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(
    "cell", [name if name == "lstm" else pytest.param(name, marks=pytest.mark.slow) for name in NATIVE_CELLS]
)
def test_texts_equal_those_of_a_loop_in_python(cell, sampling):
    layers, head = make_model(cell)
    texts, lengths = make_buffers()
    prompts = [texts.tokens[row, : lengths[row]].tolist() for row in range(TEXTS)]
    limits = np.full(TEXTS, LENGTH, np.int32)
    limits[-1] = 6
    keys = jax.random.split(jax.random.key(1), TEXTS)
    decode(cell, layers, head, texts, lengths, limits, np.asarray(jax.random.key_data(keys)), sampling, LENGTH, BANNED)
    assert texts.done.all()
    for row in range(TEXTS):
        expected = reference(cell, layers, head, prompts[row], limits[row], keys[row], sampling)
        assert texts.tokens[row, : len(expected)].tolist() == expected
        assert not texts.tokens[row, len(expected) :].any()


def test_a_loop_that_stops_on_the_way_goes_on_to_the_same_texts(monkeypatch):
    layers, head = make_model("lstm")
    results = []
    for stops, threads in (((LENGTH,), 1), (range(1, LENGTH + 1), 3)):
        monkeypatch.setattr(build, "threads", lambda threads=threads: threads)
        texts, lengths = make_buffers()
        keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(1), TEXTS)))
        limits = np.full(TEXTS, LENGTH, np.int32)
        for until in stops:
            decode("lstm", layers, head, texts, lengths, limits, keys, Sampling(1.0), until, BANNED)
        results.append(texts)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
