"""The cells that are parallel over time, against a loop over their definition."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from recurrences import make_inputs, make_weights

from flaxchar.models.linear import linear_sequence, mingru_coefficients, minlstm_coefficients


@pytest.mark.parametrize(("name", "coefficients"), [("mingru", mingru_coefficients), ("minlstm", minlstm_coefficients)])
def test_the_parallel_scan_is_the_loop(name, coefficients):
    weights, carry = make_weights(name)
    inputs = make_inputs("vectors")
    hs, (last,) = linear_sequence(coefficients, inputs, weights, carry, None, "float32")
    h = carry[0]
    for t, (a, b) in enumerate(zip(*coefficients(inputs, weights, "float32"), strict=True)):
        h = a * h + b
        np.testing.assert_allclose(hs[t], h, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(last, hs[-1])


def test_a_forget_gate_of_zero_and_an_input_gate_of_zero_leave_no_nan():
    """Both gates of minLSTM underflow; their quotient does not."""
    columns = jnp.array([[-1e4, -1e4, 1.0]])
    weights = {"kernel": columns, "bias": jnp.zeros(3)}
    a, b = minlstm_coefficients(jnp.ones((2, 1, 1)), weights, "float32")
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
