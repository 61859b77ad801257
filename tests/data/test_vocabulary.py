"""Ids as Keras' Tokenizer(char_level=True, lower=False) numbers them, and exact round trips."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from helpers import ROOT, small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError, Vocabulary, pad_texts
from flaxchar.data.examples import Example
from flaxchar.data.vocabulary import vocabulary_from_format_1

texts = st.lists(st.text(alphabet=st.characters(), max_size=30), min_size=1, max_size=8).filter(any)


def test_ids_are_by_falling_frequency_and_ties_by_first_appearance():
    vocabulary = Vocabulary.build(["dab", "bac", "b"])
    assert vocabulary.tokens == ("b", "a", "d", "c")
    assert vocabulary.encode("abcd").tolist() == [2, 1, 4, 3]
    assert (vocabulary.size, vocabulary.eos) == (6, 5)


@given(texts)
def test_round_trip_over_full_unicode(texts):
    vocabulary = Vocabulary.from_dict(Vocabulary.build(texts).to_dict())
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    encoded, missing = vocabulary.encode_texts(texts)
    assert not missing
    assert [vocabulary.decode(encoded[k]) for k in range(len(texts))] == texts


@given(texts)
def test_words_round_trip_with_their_white_space(texts):
    vocabulary = Vocabulary.build(texts, unit="word")
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_words_beyond_the_limit_become_the_unknown_token():
    vocabulary = Vocabulary.build(["the cat the dog the cat"], unit="word", max_size=3)
    assert vocabulary.tokens == (" ", "the", "cat")
    assert vocabulary.size == 6
    assert vocabulary.encode("the dog").tolist() == [2, 1, vocabulary.unknown]
    assert vocabulary.unknown == vocabulary.eos - 1


def test_what_the_limit_leaves_out_is_kept_to_spell_by():
    texts = ["the cat the dog the cat don't"]
    vocabulary = Vocabulary.build(texts, unit="word", max_size=3)
    assert vocabulary.spelling.tokens == ("dog", "don't")
    assert vocabulary.speller.characters == sorted({*"the cat dog don't"})
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary
    old = vocabulary.to_dict()
    del old["word_rule"], old["spelling"]
    old = Vocabulary.from_dict(old)
    assert (old.word_rule, old.spelling, old.speller) == ("runs", None, None)
    assert old.encode("don't").tolist() == [old.unknown] * 3
    characters = Vocabulary.build(texts, max_size=3)
    assert dict(zip(characters.spelling.tokens, characters.spelling.counts, strict=True))["d"] == 2
    assert Vocabulary.build(texts).speller is None


def test_unknown_characters_are_named_or_dropped():
    vocabulary = Vocabulary.build(["abc"])
    with pytest.raises(InputError, match=r"'x', 'é'.*`unknown=\"drop\"`"):
        vocabulary.encode("axbé")
    assert vocabulary.decode(vocabulary.encode("axbé", unknown="drop")) == "ab"
    encoded, missing = vocabulary.encode_texts(["ax", "x", "bxc"])
    assert missing == {"x": 3}
    assert encoded.lengths.tolist() == [1, 0, 2]


def test_characters_beyond_the_table_are_unknown():
    vocabulary = Vocabulary.build(["abc"])
    _, missing = vocabulary.encode_texts(["a\U0010ffff"])
    assert missing == {"\U0010ffff": 1}


@pytest.mark.parametrize("k", [0, 4, 5, -1])
def test_padding_and_eos_cannot_be_decoded(k):
    with pytest.raises(ValueError, match="stands for no text"):
        Vocabulary.build(["abc"]).decode(np.array([1, k]))


def test_no_text_is_an_error():
    with pytest.raises(InputError, match="no text"):
        Vocabulary.build(["", ""])


ANY = st.text(st.characters(), max_size=8)
COLUMNS = {
    "texts": st.builds(Example, ANY, st.none(), st.none()),
    "labels": st.builds(Example, ANY, ANY, st.none()),
    "sources": st.builds(Example, ANY, st.none(), ANY),
}


@pytest.mark.parametrize(
    ("column", "classify"), [("texts", False), ("labels", False), ("labels", True), ("sources", False)]
)
@pytest.mark.parametrize(("unit", "max_size"), [("char", None), ("char", 2), ("word", None)])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_encoded_examples_hold_their_parts_in_the_order_the_model_reads_them(column, classify, unit, max_size, data):
    examples = data.draw(
        st.lists(COLUMNS[column], min_size=1, max_size=6).filter(lambda some: any(e.text for e in some))
    )
    vocabulary = Vocabulary.build(examples, unit, max_size, classify)
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary
    with small_blocks(3):
        encoded, missing = vocabulary.encode_examples(examples)
    assert not missing
    assert encoded.ids.dtype == np.uint8
    for k, example in enumerate(examples):
        expected = vocabulary.encode(example.text).tolist()
        if column == "sources":
            expected = [*vocabulary.encode(example.source), vocabulary.source_end, *expected]
        elif classify:
            expected += [vocabulary.source_end, vocabulary.label_id(example.label)]
        elif column == "labels":
            expected = [vocabulary.label_id(example.label), *expected]
        assert encoded[k].tolist() == expected
        if not classify:
            before = vocabulary.prefix(example.label, example.source)
            assert encoded[k][: len(before)].tolist() == before.tolist()
    specials = {vocabulary.eos, vocabulary.unknown, vocabulary.source_end, *vocabulary.label_ids} - {None}
    characters = {k for k, token in enumerate(vocabulary.tokens, start=1) if token is not None}
    assert characters | specials == set(range(1, vocabulary.size))
    assert set(vocabulary.never_written) == {0} | specials - {vocabulary.eos}
    assert encoded.source_end == vocabulary.source_end
    assert encoded.ends != classify


@settings(max_examples=100, deadline=None)
@given(data=st.data(), unit=st.sampled_from(["char", "word"]), bos=st.booleans(), in_training=st.booleans())
@pytest.mark.parametrize(
    ("column", "classify"), [("texts", False), ("labels", False), ("labels", True), ("sources", False)]
)
def test_the_predicted_characters_are_those_of_the_targets(column, classify, data, unit, bos, in_training):
    examples = data.draw(st.lists(COLUMNS[column].filter(lambda example: example.text), min_size=1, max_size=6))
    vocabulary = Vocabulary.build(examples, unit, classify=classify)
    bos = bos and column == "texts"
    encoded, _ = vocabulary.encode_examples(examples)
    given_up_to = None if in_training and not classify else vocabulary.source_end
    batch = pad_texts(
        [encoded[k] for k in range(len(examples))],
        len(examples),
        int(encoded.lengths.max()) + bos,
        vocabulary.eos,
        bos,
        given_up_to,
        encoded.ends,
    )
    lengths = np.ones(vocabulary.size, int)  # labels, the end of a source and <eos> count as one
    for k, token in enumerate(vocabulary.tokens, start=1):
        lengths[k] = 1 if token is None else len(token)
    predicted = int(lengths[batch.targets[batch.mask]].sum())
    assert vocabulary.predicted_characters(examples, bos, sources=in_training) == predicted


def test_ids_follow_the_documented_order():
    vocabulary = Vocabulary.build([Example("aab", "x"), Example("a", "y")], max_size=2, classify=True)
    assert vocabulary.tokens == ("a", "b", None, None, None)
    assert (vocabulary.label_ids, vocabulary.source_end) == ((3, 4), 5)
    assert (vocabulary.unknown, vocabulary.eos, vocabulary.size) == (6, 7, 8)
    plain = Vocabulary.build(["aab"])
    assert plain.to_dict() == {"unit": "char", "has_unknown": False, "tokens": ["a", "b"]}


def test_a_prefix_that_does_not_fit_the_model_is_told():
    plain, labelled, sourced, classifier = (
        Vocabulary.build(examples, classify=classify)
        for examples, classify in (
            (["ab"], False),
            ([Example("ab", "x")], False),
            ([Example("ab", source="c")], False),
            ([Example("ab", "x")], True),
        )
    )
    assert plain.prefix().tolist() == []
    for vocabulary, arguments, message in (
        (plain, {"label": "x"}, "knows no label 'x'; train one"),
        (plain, {"source": "a"}, "trained without sources"),
        (labelled, {}, "say which with `label`: 'x'"),
        (labelled, {"label": "z"}, "no label 'z'; it knows 'x'"),
        (sourced, {}, "give it with `source`"),
        (sourced, {"source": "az"}, "never seen: 'z'"),
        (classifier, {"label": "x"}, "names the label of a text"),
    ):
        with pytest.raises(InputError, match=message):
            vocabulary.prefix(**arguments)
    dropped = sourced.prefix(source="azc", unknown="drop")
    assert dropped.tolist() == [*sourced.encode("ac"), sourced.source_end]


def test_examples_without_the_labels_or_sources_of_the_model_are_told():
    for example, message in ((Example("a", "x"), "have no label"), (Example("a", source="b"), "have no source")):
        with pytest.raises(InputError, match=message):
            Vocabulary.build([example]).encode_examples(["a"])


def test_vocabularies_of_format_1_keep_their_ids():
    with zipfile.ZipFile(ROOT / "tests" / "fixtures" / "runs_format_1.zip") as runs:
        for name in ("plain", "words", "labelled", "classifier", "sourced"):
            values = json.loads(runs.read(f"{name}/vocabulary.json"))
            labelled, sourced = "labels" in values, name in ("classifier", "sourced")
            vocabulary = vocabulary_from_format_1(values, labelled, sourced)
            for k, token in enumerate(values["tokens"], start=1):
                if token < "\U000f0000":
                    assert vocabulary.id_of(token) == k
                elif token == "\U000f03e8":
                    assert vocabulary.source_end == k
                else:
                    assert vocabulary.label_ids[ord(token) - 0xF0000] == k
            assert vocabulary.classifies == (name == "classifier")
            assert vocabulary.size == len(values["tokens"]) + values["has_unknown"] + 2
            assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_private_use_characters_of_format_1_are_text_where_the_run_had_no_labels():
    tokens = ["a", "\U000f0000", "\U000f03e8"]
    values = {"unit": "char", "has_unknown": False, "tokens": tokens, "labels": ["x"]}
    vocabulary = vocabulary_from_format_1(values, labelled=False, sourced=False)
    assert (vocabulary.labels, vocabulary.label_ids, vocabulary.source_end) == ((), (), None)
    assert vocabulary.decode([1, 2, 3]) == "a\U000f0000\U000f03e8"
    assert vocabulary.never_written == (0,)
