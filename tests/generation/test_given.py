"""What a person gives a model: taken in the form that the model knows, and told."""

from __future__ import annotations

import warnings

import pytest
from helpers import untrained_model

from flaxchar import Example, FormWarning, InputError
from flaxchar.generation.given import check_normalized, given_examples, given_label, given_text


def test_a_prompt_in_another_normal_form_is_taken_and_told():
    vocabulary = untrained_model(["Zoé"]).vocabulary
    with pytest.warns(
        FormWarning, match=r"^the prompt was taken in Unicode's composed form \(NFC\), as the model knows"
    ):
        assert given_text(vocabulary, "Zoe\u0301") == "Zoé"
    with pytest.warns(FormWarning, match=r"^the source was taken without U\+FEFF"):
        assert given_text(vocabulary, "\ufeffZ", what="the source") == "Z"
    with pytest.warns(FormWarning, match="was taken with 'A' instead of 'Ａ', .*, with 'C' .* and 2 more changes, as"):
        given_text(untrained_model(["ABCDE"]).vocabulary, "ＡＢＣＤＥ")


def test_the_warning_names_the_line_that_gave_the_text():
    model = untrained_model(["Zoé"])
    with pytest.warns(FormWarning) as told:
        model.generate("e\u0301", size=2)
    with pytest.warns(FormWarning) as told_by_a_generator:
        list(model.stream("e\u0301", size=2))
    assert {warning.filename for warning in (*told, *told_by_a_generator)} == {__file__}


def test_a_run_with_a_normal_form_takes_texts_in_it_without_a_word():
    model = untrained_model(["Zoé fi"], normalize="nfkc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert given_text(model.vocabulary, "Zoe\u0301 ﬁ", "nfkc") == "Zoé fi"
        assert given_examples(model, [Example("e\u0301"), Example("ﬁ")]) == [Example("é"), Example("fi")]


def test_a_label_is_found_in_any_normal_form():
    vocabulary = untrained_model(["ab"], labels=("é", "Ａ")).vocabulary
    assert given_label(vocabulary, "e\u0301") == "é"
    assert given_label(vocabulary, "A") == "A"  # another label than the full-width letter
    ambiguous = untrained_model(["ab"], labels=("é", "e\u0301")).vocabulary
    assert given_label(ambiguous, "e\u0301") == "e\u0301"


def test_texts_of_a_score_are_taken_in_another_normal_form_but_nothing_is_replaced():
    model = untrained_model(['Zoé "'])
    examples = [Example("Zoe\u0301“"), Example("Z"), Example("e\u0301")]
    with pytest.warns(
        FormWarning, match=r"^2 texts were taken in Unicode's composed form \(NFC\), as the model knows th"
    ):
        assert [example.text for example in given_examples(model, examples)] == ["Zoé“", "Z", "é"]
    with pytest.warns(FormWarning, match=r"^1 text was taken with '\"' instead of '“', as the model knows it$"):
        assert given_examples(model, [Example("Z“")], replace=True) == [Example('Z"')]


def test_words_are_compared_whole():
    model = untrained_model(["die Zoés"] * 2, unit="word", max_vocab=5)
    with pytest.warns(FormWarning, match="NFC"):
        assert given_text(model.vocabulary, "Zoe\u0301s") == "Zoés"
    assert given_text(model.vocabulary, "die Katze") == "die Katze"


def test_what_is_compressed_must_be_in_the_normal_form_of_the_run():
    check_normalized(untrained_model(["ab"]), "e\u0301")
    model = untrained_model(["ab"], normalize="nfc")
    check_normalized(model, "é\n")
    check_normalized(model, [Example("é", "e\u0301")])  # labels are stored as they are
    for content in ("e\u0301", [Example("a", source="e\u0301")]):
        with pytest.raises(InputError, match='trained with `normalize="nfc"`'):
            check_normalized(model, content)
