"""Examples: whatever their texts, labels and sources hold, they come back as they were put in."""

from __future__ import annotations

import pytest
from helpers import small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.examples import Chunk, Example, Examples, chunked
from flaxchar.data.labels import MOST_LABELS

ANY = st.text(st.characters(), max_size=8)
EXAMPLES = st.one_of(
    st.lists(ANY, max_size=8),
    st.lists(st.one_of(ANY, st.builds(Example, ANY, st.none(), st.none())), max_size=8),
    st.lists(st.builds(Example, ANY, ANY, st.none()), max_size=8),
    st.lists(st.builds(Example, ANY, st.none(), ANY), max_size=8),
    st.lists(st.builds(Example, ANY, ANY, ANY), max_size=8),
)


@settings(max_examples=200, deadline=None)
@given(given_examples=EXAMPLES, block=st.integers(1, 9))
def test_examples_are_what_was_put_in(given_examples, block):
    records = [Example(each) if isinstance(each, str) else each for each in given_examples]
    with small_blocks(block):
        kept = Examples.of(given_examples)
        assert list(kept) == records
    assert len(kept) == len(records)
    assert kept.plain == all(example.label is None and example.source is None for example in records)
    assert kept.characters == sum(len(example.text) + len(example.source or "") for example in records)
    assert kept.label_names == tuple(dict.fromkeys(example.label for example in records if example.label is not None))


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([b"a"], "must be a str or an Example; one is bytes"),
        (["a", None], "must be a str or an Example; one is NoneType"),
        ([("a", "b")], "must be a str or an Example; one is tuple"),
        ([Example(3)], "the text of an example must be a str; one is int"),
        ([Example("a", 3)], "the label of an example must be a str or None; one is int"),
        ([Example("a", "x"), "b"], "example 'b' has no label, but others have one"),
        ([Example("a", source="x"), Example("b")], "example 'b' has no source"),
        ([Example("a", str(k)) for k in range(MOST_LABELS + 1)], "more than 1,000 labels; does `label_field`"),
    ],
)
def test_what_is_no_example_is_told(examples, message):
    with pytest.raises(InputError, match=message):
        Examples.of(examples)


def test_a_label_that_only_some_chunks_have_is_an_error():
    with pytest.raises(InputError, match="only some of the texts have a label or a source"):
        Examples.from_chunks([Chunk(["a"], ["x"]), Chunk(["b"])])


def test_held_out_examples_have_the_labels_of_those_to_learn():
    learned = Examples.of([Example("a", "x"), Example("b", "y")])
    held_out = Examples.from_chunks(chunked([Example("c", "y")]), like=learned)
    assert (held_out.label_names, held_out.labels.tolist()) == (("x", "y"), [1])
    nothing = Examples.from_chunks((), like=learned)
    assert (nothing.label_names, nothing.labels.tolist()) == (("x", "y"), [])
    with pytest.raises(InputError, match="label 'z', which no text to learn has"):
        Examples.from_chunks(chunked([Example("c", "z")]), like=learned)
    with pytest.raises(InputError, match="only some of the texts"):
        Examples.from_chunks(chunked(["c"]), like=learned)


def test_the_digest_is_that_of_the_texts_where_they_stand_alone_and_else_tells_all_columns():
    texts = ["a", "b"]
    assert Examples.of(texts).digest() == Examples.of(texts).texts.digest()
    others = [
        texts,
        [Example("a", "x"), Example("b", "y")],
        [Example("a", "y"), Example("b", "x")],
        [Example("a", "x"), Example("b", "x")],
        *([Example("a", "x"), Example("b", "y"), Example("c", name)] for name in "xy"),
        [Example("a", source="x"), Example("b", source="y")],
    ]
    assert len({Examples.of(each).digest() for each in others}) == len(others)
