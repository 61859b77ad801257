"""The held-out split: the share that was asked for, and equal texts on one side."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.examples import Example, Examples
from flaxchar.data.split import hash_texts, split_examples

some_texts = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=60)


def split(texts, *arguments, **settings):
    hashes = np.array([zlib.crc32(text.encode()) for text in texts], np.uint64)
    return tuple(list(part.texts) for part in split_examples(Examples.of(texts), hashes, *arguments, **settings))


@given(some_texts, st.floats(0, 0.9), st.integers(0, 5))
def test_what_is_held_out_is_never_among_the_training_texts(texts, fraction, seed):
    train, held_out = split(texts, fraction, seed)
    assert not set(train) & set(held_out)
    assert sorted(train + held_out) == sorted(texts)
    assert len(held_out) <= round(fraction * len(texts))
    assert train
    assert split(texts, fraction, seed) == (train, held_out)


@pytest.mark.parametrize("count", [20, 100, 1000, 20_000])
def test_about_the_fraction_is_held_out_and_the_seed_chooses(count):
    texts = [str(k) for k in range(count)]
    train, held_out = split(texts, 0.05, 0)
    assert len(held_out) == count // 20
    assert train == sorted(train, key=int)  # in the order given
    assert split(texts, 0.05, 1)[1] != held_out


@given(st.text("ab\n", min_size=2, max_size=200), st.floats(0, 0.5))
def test_running_text_is_held_out_from_its_end(text, fraction):
    train, held_out = split([text], fraction, 0, running=True)
    assert "".join(train + held_out) == text


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1, max_size=20))
def test_hashes_are_equal_for_equal_texts_with_equal_sources_alone(pairs):
    texts, sources = zip(*pairs, strict=True)
    assert len(set(hash_texts(texts, sources).tolist())) == len(set(pairs))
    assert len(set(hash_texts(texts).tolist())) == len(set(texts))


@given(st.integers(0, 5))
def test_labels_and_sources_stay_with_their_texts(seed):
    labelled = [Example(f"{k} in words", label=str(k % 3)) for k in range(60)]
    sourced = [Example(f"{k} in words", source=str(k) * (k % 2)) for k in range(60)]
    for examples in (labelled, sourced):
        hashes = hash_texts([example.text for example in examples])
        train, held_out = split_examples(Examples.of(examples), hashes, 0.2, seed)
        assert len(held_out) == 12
        assert sorted([*train, *held_out]) == sorted(examples)
        assert held_out.label_names == train.label_names
