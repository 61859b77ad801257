"""Cleaning: what is left out and what is decoded, text by text and in running text."""

from __future__ import annotations

import numpy as np

from flaxchar.data.clean import Cleaner, unescape_html
from flaxchar.data.examples import Chunk
from flaxchar.data.split import hash_texts
from flaxchar.settings import DataConfig


def cleaned(chunks, **settings):
    cleaner = Cleaner(DataConfig(**settings))
    return list(cleaner.clean(chunks)), cleaner


def test_blank_and_overlong_texts_go_with_their_labels_and_sources():
    given = Chunk(["ab", " ", "abc", ""], ["1", "2", "3", "4"], ["x", "x", "yy", "z"])
    (kept,), cleaner = cleaned([given], max_length=4)
    assert kept == Chunk(["ab"], ["1"], ["x"])
    assert (cleaner.given, cleaner.blank, cleaner.too_long) == (4, 2, 1)
    np.testing.assert_array_equal(cleaner.hashes(), hash_texts(["ab"], ["x"]))


def test_only_empty_pieces_of_running_text_are_left_out():
    chunks = [Chunk(["", "a" * 10, " "]), Chunk(["b"], complete=False), Chunk([""], complete=False), Chunk(["c"])]
    kept, cleaner = cleaned(chunks, window=4, max_length=5)
    assert [chunk.texts for chunk in kept] == [["a" * 10, " "], ["b"], [""], ["c"]]
    assert (cleaner.given, cleaner.blank, cleaner.too_long) == (4, 1, 0)


def test_html_is_decoded_in_texts_and_sources_and_counted_once_for_each():
    given = Chunk(["It #39;s", "plain", "&lt;b&gt;"], None, ["&amp; more", "a", "b &gt;"])
    (kept,), cleaner = cleaned([given], unescape_html=True)
    assert kept == Chunk(["It's", "plain", "<b>"], None, ["& more", "a", "b >"])
    assert cleaner.debris == 2


def test_html_is_counted_once_for_a_text_that_is_continued():
    _, cleaner = cleaned([Chunk(["&lt;"], complete=False), Chunk(["&lt;"], complete=False), Chunk(["&lt;"])], window=4)
    assert cleaner.debris == 1


def test_character_references_are_decoded_with_and_without_their_ampersand():
    texts = ["It #39;s", "&lt;b&gt; 5 &amp; 6", "costs  #36;10", "AT&T #1"]
    assert [unescape_html(text) for text in texts] == ["It's", "<b> 5 & 6", "costs $10", "AT&T #1"]


def test_texts_labels_and_sources_are_brought_into_a_normal_form():
    given = Chunk(["e\u0301 &#769;", "ﬁ"], None, ["o\u0308", "x"])
    (kept,), cleaner = cleaned([given], normalize="nfc", unescape_html=True)
    assert kept == Chunk(["é \u0301", "ﬁ"], None, ["ö", "x"])
    np.testing.assert_array_equal(cleaner.hashes(), hash_texts(kept.texts, kept.sources))
