"""The map of the tokens: principal components and neighbours of known vectors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import untrained_model

from flaxchar.insight.embedding import SHOWN, embedding_map


@pytest.mark.parametrize("size", [0, 6])
def test_near_vectors_are_near_on_the_map(size):
    lm = untrained_model(["aaaabbbccd"], embedding=size)
    table = lm.params["embedding"] if size else lm.params["lstm_0"]["kernel"]
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=table.shape) * 0.01
    vectors[1, 0] = vectors[3, 0] = 5  # a and c
    vectors[2, 0] = vectors[4, 0] = -5  # b and d
    if size:
        lm.params["embedding"] = vectors
    else:
        lm.params["lstm_0"]["kernel"] = vectors
    places = embedding_map(lm)
    assert places.embedded == bool(size)
    assert places.tokens == ["a", "b", "c", "d"]
    assert places.neighbours[0][0][0] == "c"
    assert places.shares[0] > 0.99
    x = places.places[:, 0]
    assert abs(x[0] - x[2]) < 1 < abs(x[0] - x[1])
    spread = ((vectors[1:5] - vectors[1:5].mean(0)) ** 2).sum()
    assert (places.places**2).sum() == pytest.approx(spread * sum(places.shares))


def test_thousands_of_characters_and_a_single_one():
    many = embedding_map(untrained_model(["".join(map(chr, range(0x4E00, 0x4E00 + 3000)))]))
    assert len(many.tokens) == SHOWN
    assert embedding_map(untrained_model(["aaa"])).neighbours == [[]]
