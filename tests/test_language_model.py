"""The library's front does all that the commands do, and refuses by name what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import PALINDROMES, untrained_model

import flaxchar
from flaxchar import Example, FormWarning, InputError

SMALL = {"steps": 3, "hidden": 4, "buckets": 1}


def test_a_model_is_the_same_after_saving_and_loading(tmp_path):
    lm = flaxchar.train(PALINDROMES, **SMALL)
    lm.save(tmp_path / "names")
    again = flaxchar.load(tmp_path / "names")
    assert again.score(["Anna"]) == lm.score(["Anna"])
    assert again.config == lm.config
    assert again.vocabulary == lm.vocabulary
    with pytest.raises(InputError, match="already holds a run"):
        lm.save(tmp_path / "names")


def test_texts_with_labels_are_learned_written_scored_and_classified():
    texts, labels = ["abab", "baba", "xyxy", "yxyx"] * 10, ["low", "low", "high", "high"] * 10
    lm = flaxchar.train(texts, labels=labels, steps=150, hidden=12, buckets=1, val_fraction=0)
    assert lm.vocabulary.labels == ("low", "high")
    assert set(lm.generate(label="low", temperature=0)[0]) <= set("ab")
    assert lm.classify(["ab", "xy"]).labels == ["low", "high"]
    assert lm.score(["abab"], labels=["low"]) < lm.score(["abab"], labels=["high"])


def test_texts_with_sources_are_learned_and_written():
    lm = flaxchar.train(PALINDROMES, sources=[name[::-1] for name in PALINDROMES], **SMALL)
    assert isinstance(lm.generate(source="annA", size=5)[0], str)
    assert lm.score(["Anna"], sources=["annA"])[0] > 0


def test_novelty_finds_copies():
    lm = untrained_model(["ab"])
    result = lm.novelty(["abc", "xbc", "xbc"], ["abc", "zzz"])
    assert (result.copies, result.duplicates) == (1, 1)
    np.testing.assert_allclose(result.shares, [1, 2 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "`num_samples` is 0"),
        ({"num_samples": 1.5}, "`num_samples` is 1.5"),
        ({"size": 0}, "`size` is 0"),
        ({"temperature": -1}, "`temperature` is -1"),
        ({"label": "x"}, "label"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        untrained_model(["ab"]).generate(**arguments)


def test_records_keep_their_fields():
    assert Example("a") == ("a", None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lm: lm.generate(None), "`prompt` is None; it must be a string"),
        (lambda lm: lm.generate(size="x"), "`size` is 'x'; it must be a whole number, at least 1"),
        (lambda lm: lm.generate(seed=-1), "`seed` is -1"),
        (lambda lm: lm.generate(label=3), "`label` is 3; it must be a string"),
        (lambda lm: next(lm.stream(sample="x")), "`sample` is 'x'"),
        (lambda lm: lm.likeliest(beams="x"), "`beams` is 'x'"),
        (lambda lm: lm.score(["ab"], adapt=3), "`adapt` is 3"),
        (lambda lm: lm.score(["ab"], unknown="x"), "`unknown` is 'x'; it must be one of error, drop"),
        (lambda lm: lm.decompress("abc"), "`data` is str; it must be bytes"),
        (lambda lm: lm.save(3), "`path` is 3"),
        (lambda lm: flaxchar.load(None), "`path` is None; it must be a path"),
        (lambda lm: flaxchar.train(["ab"], workdir=3), "`workdir` is 3"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call(untrained_model(["ab"]))


def test_texts_in_another_form_are_scored_classified_and_written():
    lm = untrained_model(["Zoé “”"])
    with pytest.warns(FormWarning, match="^1 text was taken in Unicode's composed form"):
        assert lm.score(["Zoe\u0301"]) == lm.score(["Zoé"])
    with pytest.warns(FormWarning, match="^the prompt was taken with '“”' instead of '\"', as the model knows it"):
        assert lm.generate('"Zo" é')[0].startswith("“Zo” é")
    with pytest.raises(
        InputError, match=r"never seen: 'ë'; did you mean 'é'\? Otherwise leave it out, by hand or with"
    ):
        lm.generate("Zoë")
    labelled = untrained_model(["Zoé “"], labels=("é", "b"))
    with pytest.warns(FormWarning, match="NFC.* and with '“' instead of '\"'|^1 text was taken"):
        classified = labelled.classify(['Zoe\u0301 "']).probabilities
    np.testing.assert_array_equal(classified, labelled.classify(["Zoé “"]).probabilities)
    assert labelled.generate("Z", label="e\u0301") == labelled.generate("Z", label="é")


def test_a_run_in_a_normal_form_reads_everything_in_it(tmp_path):
    lm = flaxchar.train(["Zoe\u0301 ﬁ"] * 4, workdir=tmp_path / "run", normalize="nfkc", **SMALL)
    assert set("".join(filter(None, lm.vocabulary.tokens))) == set("Zoé fi")
    lm = flaxchar.load(tmp_path / "run")
    assert lm.score(["Zoe\u0301 ﬁ"]) == lm.score(["Zoé fi"])
    assert lm.generate("e\u0301ﬁ") == lm.generate("éfi")
    assert lm.novelty(["Zoé fi"], ["Zoe\u0301 ﬁ"]).copies == 1
    assert lm.decompress(lm.compress("Zoé fi")) == "Zoé fi"
    with pytest.raises(InputError, match="bring it into that form first"):
        lm.compress("Zoe\u0301")
