"""Encoded texts: arrays joined in memory or in a file, and columns joined row by row."""

from __future__ import annotations

import numpy as np
from helpers import small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.data.batches import WindowBatches
from flaxchar.data.encoded import EncodedTexts, interleaved, joined
from flaxchar.data.vocabulary import Vocabulary


def encoded(rows: list[list[int]]) -> EncodedTexts:
    ids = np.array([k for row in rows for k in row], np.uint8)
    return EncodedTexts(ids, np.cumsum([0, *map(len, rows)]))


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.lists(st.integers(0, 255), max_size=5)] * 3), max_size=12),
    block=st.integers(1, 9),
)
def test_interleaved_columns_are_the_rows_concatenated(rows, block):
    columns = [encoded([row[k] for row in rows]) for k in range(3)]
    with small_blocks(block):
        together = interleaved(columns)
    assert together.ids.dtype == np.uint8
    assert [row.tolist() for row in (together[k] for k in range(len(together)))] == [[*a, *b, *c] for a, b, c in rows]


def test_windows_of_mapped_ids_are_those_of_ids_in_memory(tmp_path):
    given_texts = ["abracadabra" * 9, "", "banana"]
    vocabulary = Vocabulary.build(given_texts)
    memory, mapped = (vocabulary.encode_texts(given_texts, path)[0] for path in (None, tmp_path / "ids"))
    assert isinstance(mapped.ids, np.memmap)
    assert mapped.ids.dtype == np.uint8
    one, other = (WindowBatches(ids, 3, vocabulary.eos, 7) for ids in (memory, mapped))
    for k in range(one.steps_per_epoch + 1):
        for a, b in zip(one.batch(k), other.batch(k), strict=True):
            np.testing.assert_array_equal(a, b)


def test_arrays_are_joined_in_a_file_where_they_may_be_large(tmp_path):
    parts = [np.arange(5), np.arange(7)]
    expected = np.concatenate(parts)
    with small_blocks(4):
        for result in (
            joined(parts, np.uint8, 12),
            joined(parts, np.uint8, 1000),
            joined(parts, np.uint8, 12, tmp_path / "x"),
        ):
            np.testing.assert_array_equal(result, expected)
    assert len(joined([], np.uint8, 0, tmp_path / "none")) == 0
