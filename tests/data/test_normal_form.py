"""Normal form: examples in one normal form, however their text was cut into chunks."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.examples import Chunk
from flaxchar.data.normal_form import Normalizer


def test_texts_labels_and_sources_are_normalized():
    chunk = Chunk(["e\u0301", "ﬁ"], ["o\u0308", "b"], ["c", "a\u0301"])
    assert Normalizer("nfc").normalize(chunk) == Chunk(["é", "ﬁ"], ["ö", "b"], ["c", "á"])
    assert Normalizer("nfkc").normalize(chunk).texts == ["é", "fi"]
    assert Normalizer(None).normalize(chunk) is chunk


# Characters that combine: marks, parts of Hangul syllables, an Indic vowel sign in two parts, half-width voicing marks.
COMBINING = "ae \n\u0301\u0323\u0308\u1100\u1161\u11a8각\u09c7\u09be\uff76\uff9e\u3099ﬁ"


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
@given(parts=st.lists(st.text(COMBINING, max_size=5), min_size=1, max_size=6))
def test_a_text_in_several_chunks_is_normalized_as_a_whole(form, parts):
    normalizer = Normalizer(form)
    chunks = [normalizer.normalize(Chunk([part], complete=part is last)) for part, last in whole(parts)]
    assert "".join(chunk.texts[0] for chunk in chunks) == unicodedata.normalize(form.upper(), "".join(parts))


def whole(parts):
    """Each part, and itself where it is the last."""
    return [(part, part if number == len(parts) else None) for number, part in enumerate(parts, start=1)]


def test_a_chunk_may_end_one_text_and_begin_another():
    normalizer = Normalizer("nfc")
    chunks = [
        normalizer.normalize(Chunk(["ae", "be"], complete=False)),
        normalizer.normalize(Chunk(["\u0301", "c"])),
        normalizer.normalize(Chunk(["\u0301d"])),
    ]
    assert [chunk.texts for chunk in chunks] == [["ae", "b"], ["é", "c"], ["\u0301d"]]
