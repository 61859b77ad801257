"""Texts that need not fit in memory: whatever the stretches, they are what was put in."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.config import DataConfig
from flaxchar.data import files, texts
from flaxchar.data.batches import WindowBatches
from flaxchar.data.corpus import make_corpus
from flaxchar.data.texts import Texts, joined
from flaxchar.data.vocabulary import Vocabulary

ANY = st.lists(st.text(st.characters(), max_size=12), max_size=12)


@contextlib.contextmanager
def small(stretch: int, large: int = 40):
    """Stretches of a few characters, and files for what has more than ``large`` bytes."""
    kept = texts.STRETCH, texts.LARGE, files.STRETCH
    texts.STRETCH, texts.LARGE, files.STRETCH = stretch, large, stretch
    try:
        yield
    finally:
        texts.STRETCH, texts.LARGE, files.STRETCH = kept


@settings(max_examples=200, deadline=None)
@given(given_texts=ANY, stretch=st.integers(1, 9))
def test_texts_are_what_was_put_in(given_texts, stretch):
    with small(stretch):
        kept = Texts.of(given_texts)
        assert list(kept) == given_texts
        assert len(kept) == len(given_texts)
        assert kept.lengths.tolist() == list(map(len, given_texts))
        assert "".join(kept.stretches()) == "".join(given_texts)
        points = np.concatenate([np.empty(0, np.uint32), *kept.code_points()])
        assert points.tolist() == [ord(c) for text in given_texts for c in text]


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.tuples(st.lists(st.text("aé\n"), min_size=1, max_size=3), st.booleans()), max_size=6))
def test_a_text_may_be_put_in_piece_by_piece(pieces):
    kept, expected, goes_on = Texts(), [], False
    with small(3):
        for some, complete in pieces:
            kept.add(some, complete)
            if goes_on:
                expected[-1] += some[0]
            expected += some[goes_on:]
            goes_on = not complete
        assert list(kept) == expected


@settings(max_examples=200, deadline=None)
@given(data=st.data(), stretch=st.integers(1, 9))
def test_a_split_cuts_each_text_where_it_is_told(data, stretch):
    given_texts = data.draw(ANY)
    first = np.array([data.draw(st.integers(0, len(text))) for text in given_texts], np.int64)
    with small(stretch):
        one, other = Texts.of(given_texts).split(first)
        assert list(one) == [text[:k] for text, k in zip(given_texts, first, strict=True) if k]
        assert list(other) == [text[k:] for text, k in zip(given_texts, first, strict=True) if k < len(text)]


def test_the_digest_tells_where_texts_end_and_not_how_they_were_stored():
    digest = Texts.of(["ab", "c"]).digest()
    with small(1):
        assert Texts.of(["ab", "c"]).digest() == digest
    assert Texts.of(["a", "bc"]).digest() != digest
    assert Texts.of(["ab", "d"]).digest() != digest


@settings(max_examples=100, deadline=None)
@given(
    content=st.lists(st.sampled_from(["a", "é", "\n", "\r\n", "\r", "😀", "word"]), max_size=40).map("".join),
    stretch=st.integers(1, 9),
    running=st.booleans(),
)
def test_files_are_read_alike_whatever_the_stretch(tmp_path_factory, content, stretch, running):
    path = tmp_path_factory.mktemp("stretch") / "a.txt"
    path.write_bytes(content.encode())

    def read() -> list[str]:
        kept = Texts()
        for some in files.read_files([str(path)], running=running):
            kept.add(*some)
        return [text for text in kept if text or not running]

    whole = read()
    with small(stretch):
        assert read() == whole
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    expected = [lines] * bool(lines) if running else lines.removesuffix("\n").split("\n") if lines else []
    assert whole == expected


@pytest.mark.parametrize("window", [None, 16])
def test_a_corpus_does_not_depend_on_the_stretch(window):
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list("abé \n"), rng.integers(1, 30))) for _ in range(60)]
    given_texts = lines if window is None else ["".join(lines[:30]), "".join(lines[30:])]
    data = DataConfig(window=window, val_fraction=0.2)
    whole = make_corpus(given_texts, None, data, seed=3)
    assert len(whole.held_out) > 0
    with small(7):
        parts = make_corpus(given_texts, None, data, seed=3)
        assert parts.fingerprint() == whole.fingerprint()
        assert Vocabulary.build(parts.train) == Vocabulary.build(whole.train)
        ids = Vocabulary.build(parts.train).encode_texts(parts.train)[0]
    np.testing.assert_array_equal(ids.ids, Vocabulary.build(whole.train).encode_texts(whole.train)[0].ids)


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
    with small(4):
        for result in (
            joined(parts, np.uint8, 12),
            joined(parts, np.uint8, 1000),
            joined(parts, np.uint8, 12, tmp_path / "x"),
        ):
            np.testing.assert_array_equal(result, expected)
    assert len(joined([], np.uint8, 0, tmp_path / "none")) == 0
