"""The few widths of a run's batches, chosen for the least padding: each width costs a compilation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def choose_widths(lengths: np.ndarray, count: int) -> list[int]:
    """Choose the batch widths, at most ``count``, with the least padding.

    Args:
      lengths: the length of each text, ``[texts]``.
      count: the greatest number of widths.

    Returns:
      Rising widths; the last is the greatest length. They minimise the sum, over all texts, of the smallest width that
      fits. Dynamic programming finds them from the histogram of lengths, rounded up to at most 256 different lengths.
    """
    limit = int(lengths.max())
    grain = -(-limit // 256)
    histogram = np.bincount(-(-lengths // grain))  # of lengths rounded up to a multiple of the grain
    (rounded,) = np.nonzero(histogram)
    lengths, counts = np.minimum(rounded * grain, limit), histogram[rounded]
    texts = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: the least sum for the j shortest lengths, the j-th of which is a width.
    cost = np.concatenate([[0.0], np.full(len(lengths), np.inf)])
    choices = []
    for _ in range(min(count, len(lengths))):
        # totals[j - 1, i]: cost[i] plus the j-th length as the width of the i + 1-st to j-th lengths
        totals = cost[None, :-1] + lengths[:, None] * (texts[1:, None] - texts[None, :-1])
        totals = np.where(np.tri(len(lengths), dtype=bool), totals, np.inf)
        choices.append(totals.argmin(axis=1))
        cost = np.concatenate([[np.inf], totals.min(axis=1)])
    widths, end = [], len(lengths)
    for choice in reversed(choices):
        widths.append(int(lengths[end - 1]))
        end = choice[end - 1]
    return widths[::-1]


def fit_width(widths: Sequence[int], length: int) -> int:
    """The smallest width that holds a text of this length."""
    return next(width for width in widths if width >= length)
