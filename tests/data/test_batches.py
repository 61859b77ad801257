"""Batches: every text once an epoch, shifted targets, true masks, little padding, windows that join up."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar import TextBatches, Vocabulary, WindowBatches, one_hot, pad_texts
from flaxchar.data.batches import EvaluationBatches
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.headlines import generate_headlines

EOS = 9
texts_of_ids = st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=20), min_size=1, max_size=40)


def encoded(rows) -> EncodedTexts:
    return EncodedTexts(np.concatenate([np.array(row, np.int32) for row in rows]), np.cumsum([0, *map(len, rows)]))


def unpad(batch, bos):
    """The texts in a batch, from what it predicts."""
    for inputs, targets, mask in zip(batch.inputs, batch.targets, batch.mask, strict=True):
        if mask.any():
            predicted = targets[mask].tolist()
            assert predicted[-1] == EOS
            fed = inputs[mask].tolist()
            assert fed[1:] == predicted[:-1]
            yield predicted[:-1] if bos else fed
            assert fed[0] == EOS or not bos


def test_targets_are_the_inputs_shifted_and_closed_by_eos():
    batch = pad_texts([np.array([3, 1, 2])], rows=2, width=5, eos=EOS)
    assert batch.inputs.tolist() == [[EOS, 3, 1, 2, 0], [0] * 5]
    assert batch.targets.tolist() == [[3, 1, 2, EOS, 0], [0] * 5]
    assert batch.mask.tolist() == [[True] * 4 + [False], [False] * 5]
    without = pad_texts([np.array([3, 1, 2])], rows=1, width=3, eos=EOS, bos=False)
    assert (without.inputs.tolist(), without.targets.tolist()) == ([[3, 1, 2]], [[1, 2, EOS]])
    assert batch.inputs.dtype == batch.targets.dtype == np.int32


@given(texts_of_ids, st.integers(1, 7), st.booleans(), st.integers(0, 3))
def test_each_epoch_has_every_text_once(rows, batch_size, bos, epoch):
    batches = TextBatches(encoded(rows), batch_size, EOS, bos, seed=5)
    found = []
    for k in range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch):
        batch = batches.batch(k)
        assert batch.inputs.shape == batch.mask.shape == (batches.rows, batch.inputs.shape[1])
        assert batch.inputs.shape[1] in batches.widths
        found += unpad(batch, bos)
    assert sorted(found) == sorted(rows)


def test_a_batch_depends_on_texts_seed_and_number_alone():
    rows = [[1 + k % 8] * (1 + k % 13) for k in range(50)]
    one, other = (TextBatches(encoded(rows), 4, EOS, seed=5) for _ in range(2))
    for k in (0, 3, one.steps_per_epoch, 40):
        for _ in range(k % 4):
            other.batch(17)  # what was asked before makes no difference
        for a, b in zip(one.batch(k), other.batch(k), strict=True):
            np.testing.assert_array_equal(a, b)
    different = TextBatches(encoded(rows), 4, EOS, seed=6)
    assert any(not np.array_equal(one.batch(k).inputs, different.batch(k).inputs) for k in range(5))
    assert not np.array_equal(one.batch(0).inputs, one.batch(one.steps_per_epoch).inputs)


def padding(texts, batch_size):
    vocabulary = Vocabulary.build(texts)
    batches = TextBatches(vocabulary.encode_texts(texts)[0], batch_size, vocabulary.eos)
    masks = [batches.batch(k).mask for k in range(batches.steps_per_epoch)]
    return 1 - sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)


@pytest.mark.parametrize("batch_size", [8, 32, 64])
def test_less_than_a_tenth_of_ag_news_titles_is_padding(ag_news, batch_size):
    with ag_news.open(newline="", encoding="utf-8") as file:
        assert padding([row[1] for row in csv.reader(file)], batch_size) < 0.10


@pytest.mark.parametrize("batch_size", [8, 32, 64])
def test_less_than_a_tenth_of_headlines_is_padding(batch_size):
    assert padding(generate_headlines(7000, seed=0), batch_size) < 0.10


@given(texts_of_ids, st.integers(1, 7))
def test_only_one_batch_has_empty_rows(rows, batch_size):
    batches = TextBatches(encoded(rows), batch_size, EOS)
    filled = [batches.batch(k).mask.any(1).sum() for k in range(batches.steps_per_epoch)]
    assert sum(count < batches.rows for count in filled) <= 1
    assert sum(filled) == len(rows)


@given(texts_of_ids, st.integers(1, 5), st.integers(1, 7), st.booleans())
def test_windows_tile_the_stream_and_join_up(rows, batch_size, window, bos):
    batches = WindowBatches(encoded(rows), batch_size, EOS, window, bos)
    stream = ([EOS] if bos else []) + [k for row in rows for k in [*row, EOS]]
    lines = [[] for _ in range(batches.rows)]
    for k in range(batches.steps_per_epoch):
        batch = batches.batch(k)
        assert bool(batch.fresh) == (k == 0)
        assert batch.inputs.shape == (batches.rows, min(window, batches.widths[0]))
        for line, inputs, targets, mask in zip(lines, batch.inputs, batch.targets, batch.mask, strict=True):
            line += zip(inputs[mask].tolist(), targets[mask].tolist(), strict=True)
    joined = [pair for line in lines for pair in line]
    assert joined == list(zip(stream[:-1], stream[1:], strict=True))
    again = batches.batch(batches.steps_per_epoch)
    assert again.fresh
    np.testing.assert_array_equal(again.inputs, batches.batch(0).inputs)


@given(texts_of_ids, st.integers(1, 7))
def test_evaluation_has_every_text_once_and_says_which(rows, batch_size):
    seen = []
    for chosen, batch in EvaluationBatches(encoded(rows), batch_size, EOS):
        assert list(unpad(batch, True)) == [rows[i] for i in chosen]
        seen += chosen.tolist()
    assert sorted(seen) == list(range(len(rows)))


def test_one_hot():
    assert one_hot(np.array([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]
