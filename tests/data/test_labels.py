"""Names of labels: how values become labels, and which spellings are one."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest

from flaxchar import Config, Example, InputError
from flaxchar.data.corpus import make_corpus
from flaxchar.data.labels import LabelNumbers, find_label, kind_of, label_name, one_spelling
from flaxchar.data.vocabulary import Vocabulary

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a\0 ", "a\0 "),
        ("", ""),
        (4, "4"),
        (4.0, "4.0"),
        (True, "True"),
        (np.float32(0.1), "0.1"),
        (np.int8(-3), "-3"),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2021, 3, 1), "2021-03-01"),
        (None, None),
        (float("nan"), None),
        (np.datetime64("NaT", "s"), None),
        (decimal.Decimal("NaN"), None),
    ],
)
def test_values_become_labels_as_python_prints_them(value, name):
    assert label_name(value) == name


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (["a"], "a list of 1 text"),
        ([{}, {}], "a list of 2 objects"),
        ([1, "a"], "a list of 2 items"),
        ([], "a list of 0 items"),
        ({"a": 1}, "an object with the keys 'a'"),
        ({}, "an object without keys"),
        (b"a", "of the type bytes"),
    ],
)
def test_what_can_be_no_label_is_told(value, kind):
    assert kind_of(value) == kind
    with pytest.raises(InputError, match=f"is {kind}; a label must be one text, number or truth value"):
        label_name(value)


def test_a_label_is_found_in_any_spelling_and_exactly_first():
    names = ("True", NFC, "x", " x", "X")
    assert [find_label(name, names) for name in ("true", "TRUE", NFD, f" {NFC}\n", "x", " x", "x ", "X")] == [
        0, 0, 1, 1, 2, 3, 2, 4,
    ]  # fmt: skip
    assert find_label("y", names) is None


def test_spellings_of_one_label_get_one_number():
    names, numbers = one_spelling(("x", NFC, "x ", NFD, "true", "True", ""))
    assert names == ("x", NFC, "true", "")
    assert numbers.tolist() == [0, 1, 0, 1, 2, 2, 3]


def test_only_the_labels_that_there_may_be_are_numbered():
    learned = LabelNumbers()
    assert learned.number(["b", "a", "b"]).tolist() == [0, 1, 0]
    held_out = LabelNumbers(learned.names)
    assert held_out.number(["a ", "b"]).tolist() == [1, 0]
    with pytest.raises(InputError, match="label 'c'"):
        held_out.number(["c"])
    with pytest.raises(InputError, match="label 'c'"):
        LabelNumbers(()).number(["c"])


def test_training_makes_one_class_of_spellings_and_says_so():
    examples = [Example("a", NFC), Example("b", NFD), Example("c", "y"), Example("d", "y ")]
    corpus = make_corpus(examples, [Example("e", f"{NFD} ")], Config().data, seed=0)
    assert corpus.labels == (NFC, "y")
    assert corpus.train.labels.tolist() == [0, 0, 1, 1]
    assert corpus.held_out.labels.tolist() == [0]
    assert corpus.notices[0].startswith(f"the labels {NFC!r} and {NFD!r} differ only in spaces")
    vocabulary = Vocabulary.build(corpus.train)
    assert vocabulary.label_id(f" {NFD}") == vocabulary.label_ids[0]
    with pytest.raises(InputError, match="knows no label 'z'"):
        vocabulary.label_id("z")
