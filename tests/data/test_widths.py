"""The widths of batches: few, wide enough, and with the least padding that so few allow."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.widths import choose_widths, fit_width


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 4))
def test_widths_are_the_best_there_are(longest, count):
    widths = choose_widths(np.array(longest), count)
    assert widths == sorted(widths)
    assert widths[-1] == max(longest)
    assert len(widths) <= count

    def cost(widths):
        return sum(fit_width(widths, length) for length in longest)

    candidates = sorted(set(longest))
    chosen = combinations(candidates, min(count, len(candidates)))
    assert cost(widths) <= min(cost(some) for some in chosen if some[-1] == max(longest))
