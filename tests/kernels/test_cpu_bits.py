"""The native kernel's numbers, to the bit: they depend on neither threads nor the other rows of the batch.

JAX compiles here with all optimisations.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recurrences import make_inputs, make_weights, value_and_gradients

from flaxchar.kernels import build, cpu

pytestmark = pytest.mark.usefixtures("native", "user_settings")


@pytest.mark.parametrize("hidden", [40, pytest.param(520, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["lstm", "gru", pytest.param("rnn", marks=pytest.mark.slow)])
def test_any_number_of_threads_gives_the_same_bits(name, hidden, monkeypatch):
    weights, carry = make_weights(name, hidden, 20, 13)
    for kind, mask in (("ids", None), ("vectors", jnp.ones((13, hidden)))):
        results = []
        for threads in (1, 2, 3, 6):
            monkeypatch.setattr(build, "threads", lambda threads=threads: threads)
            results.append(value_and_gradients(name, make_inputs(kind, 3, 13, 20), weights, carry, mask))
        for other in results[1:]:
            jax.tree.map(np.testing.assert_array_equal, results[0], other)


def test_a_row_does_not_depend_on_its_batch():
    weights, (h, c) = make_weights("lstm", 48, 20, 17)
    inputs = make_inputs("ids", 6, 17, 20)
    whole, _ = cpu.sequence("lstm", inputs, weights, (h, c), None)
    for row in (0, 7, 16):
        rows = slice(row, row + 1)
        alone, _ = cpu.sequence("lstm", inputs[:, rows], weights, (h[rows], c[rows]), None)
        np.testing.assert_array_equal(alone[:, 0], whole[:, row])


@pytest.mark.slow
def test_calls_from_several_threads_at_once_do_not_mix():
    def arguments(batch):
        return "lstm", make_inputs("ids", 20, batch, 20), *make_weights("lstm", 64, 20, batch), None

    many = [arguments(8 + k) for k in range(4)]
    alone = [value_and_gradients(*each) for each in many]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = list(pool.map(lambda each: value_and_gradients(*each), many))
            jax.tree.map(np.testing.assert_array_equal, alone, together)
