"""Packed rows: every text whole, once an epoch, in rows that are nearly full."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.batches import TextBatches
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.packed import PackedBatches, pack_lengths

EOS = 9


def encoded(texts):
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    return EncodedTexts(np.concatenate([np.asarray(text, np.uint8) for text in texts]), offsets)


def random_texts(count, longest, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, EOS, rng.integers(1, longest + 1)) for _ in range(count)]


def texts_of(batch, bos):
    """The texts in a batch, read back from inputs, targets, mask and starts by a plain loop."""
    texts = []
    for inputs, targets, mask, starts in zip(*batch[:3], batch.starts, strict=True):
        assert not (starts & ~mask).any()
        for t in np.flatnonzero(mask):
            if starts[t]:
                texts.append([] if bos else [int(inputs[t])])
            else:
                assert inputs[t] == targets[t - 1]  # the input is the target before
            if bos and starts[t]:
                assert inputs[t] == EOS
            texts[-1].append(int(targets[t]))
    return texts


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(40, 90))
def test_every_length_is_packed_once_and_no_row_overflows(lengths, width):
    groups = pack_lengths(np.array(lengths), width)
    assert all(sum(row) <= width for _, row in groups)
    packed = Counter()
    for count, row in groups:
        for length in row:
            packed[length] += count
    assert packed == Counter(lengths)


@pytest.mark.parametrize("bos", [True, False])
def test_an_epoch_holds_every_text_once(bos):
    texts = random_texts(300, 60)
    batches = PackedBatches(encoded(texts), 8, EOS, bos=bos)
    for epoch in range(2):
        numbers = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
        read = [text for k in numbers for text in texts_of(batches.batch(k), bos)]
        assert sorted(read) == sorted([*map(int, text), EOS] for text in texts)


def test_the_targets_are_those_of_rows_with_one_text():
    texts = encoded(random_texts(100, 60))
    packed, apart = PackedBatches(texts, 8, EOS), TextBatches(texts, 8, EOS)
    targets = [
        Counter(int(t) for k in range(b.steps_per_epoch) for t in b.batch(k).targets[b.batch(k).mask])
        for b in (packed, apart)
    ]
    assert targets[0] == targets[1]


def test_rows_of_texts_of_many_lengths_are_nearly_full():
    lengths = np.clip(np.random.default_rng(0).normal(45, 13, 20_000).astype(int), 10, 110)
    rows = sum(count for count, _ in pack_lengths(lengths, 128))
    assert lengths.sum() / (128 * rows) > 0.95


def test_a_batch_depends_on_its_number_and_the_seed_alone():
    texts = encoded(random_texts(200, 60))
    first, again = (PackedBatches(texts, 4, EOS, seed=3) for _ in range(2))
    for k in (0, 7, 2 * first.steps_per_epoch):
        for a, b in zip(first.batch(k), again.batch(k), strict=True):
            np.testing.assert_array_equal(a, b)
    other = PackedBatches(texts, 4, EOS, seed=4)
    assert not np.array_equal(first.batch(0).inputs, other.batch(0).inputs)
    assert not np.array_equal(first.batch(0).inputs, first.batch(first.steps_per_epoch).inputs)


def test_processes_make_the_rows_of_the_whole_batch():
    batches = PackedBatches(encoded(random_texts(200, 60)), 4, EOS, multiple=2)
    last = batches.steps_per_epoch - 1  # a batch that may have fewer rows of texts
    for k in (0, last):
        whole, halves = batches.batch(k), [batches.batch(k, slice(2 * p, 2 * p + 2)) for p in range(2)]
        for name in ("inputs", "targets", "mask", "starts"):
            joined = np.concatenate([getattr(half, name) for half in halves])
            np.testing.assert_array_equal(joined, getattr(whole, name))


def test_one_short_text_makes_one_row():
    batches = PackedBatches(encoded([[1, 2, 3]]), 32, EOS)
    assert batches.rows == batches.steps_per_epoch == 1
    assert texts_of(batches.batch(5), bos=True) == [[1, 2, 3, EOS]]
