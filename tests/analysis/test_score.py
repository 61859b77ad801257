"""Scores: those of the model's logits, for separate and running texts, labels and sources, and adapting models."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import python, untrained_model

from flaxchar import Example, InputError, LanguageModel
from flaxchar.analysis import score
from flaxchar.analysis.classify import class_nats
from flaxchar.analysis.score import score_examples
from flaxchar.data import batches
from flaxchar.data.examples import Examples
from flaxchar.models import evaluation
from flaxchar.models.evaluation import score_texts


def examples(texts):
    return [Example(text) for text in texts]


def reference_nats(lm, ids, first):
    """Nats of the ids from number ``first`` on, by the model's logits for the whole text."""
    ids = np.asarray(ids)
    logits, _ = lm.model.apply({"params": lm.params}, jnp.asarray(ids[None, :-1]))
    nats = -np.asarray(jax.nn.log_softmax(logits))[0, np.arange(len(ids) - 1), ids[1:]]
    return nats[first - 1 :]


@pytest.mark.parametrize("bos", [True, False])
def test_separate_texts_are_scored_each_by_itself(bos):
    lm = untrained_model(["abcd", "hello"], bos=bos)
    texts = ["hell", "a", "lobed" * 20, "cab"]
    result = score_examples(lm, examples(texts))
    for text, nats in zip(texts, result.nats, strict=True):
        eos = lm.vocabulary.eos
        ids = [*[eos] * bos, *lm.vocabulary.encode(text), eos]
        assert nats == pytest.approx(reference_nats(lm, ids, 1).sum(), rel=1e-4)
    assert result.characters.tolist() == [len(text) + bos for text in texts]
    assert lm.score(texts) == pytest.approx(result.nats / math.log(2) / result.characters)


def test_running_text_is_scored_as_one_stream_however_it_is_cut():
    lm = untrained_model(["abc\nabd\n"], window=16)
    lines = ["abc\n", "\n", "dab" * 15 + "\n", "c"]
    result = score_examples(lm, examples(lines))
    ids = [lm.vocabulary.eos, *lm.vocabulary.encode("".join(lines))]
    nats = reference_nats(lm, ids, 1)
    ends = np.cumsum([len(line) for line in lines])
    np.testing.assert_allclose(np.cumsum(result.nats), np.cumsum(nats)[ends - 1], rtol=1e-5)
    assert result.characters.tolist() == [len(line) for line in lines]
    assert lm.score(["".join(lines)])[0] == pytest.approx(result.bits_per_character, rel=1e-6)


def test_words_are_scored_by_their_characters():
    lm = untrained_model(["one two", "two three"], unit="word", bos=False)
    result = score_examples(lm, examples(["one two", "three"]))
    assert result.characters.tolist() == [len(" two") + 1, 1]  # the first word is given


def test_unknown_words_pay_their_spelling():
    lm = untrained_model(["one two", "two three one"], unit="word", max_vocab=3)
    old = LanguageModel(lm.params, dataclasses.replace(lm.vocabulary, spelling=None), lm.config)
    texts = examples(["one two", "four three", "two four four"])
    counted, free = score_examples(lm, texts), score_examples(old, texts)
    four, three = lm.vocabulary.speller.nats(["four", "three"])
    np.testing.assert_allclose(counted.nats - free.nats, [0, four + three, 2 * four], rtol=1e-6)
    assert (counted.unknown.unknown, counted.unknown.words) == (4, 7)
    assert counted.unknown.nats == pytest.approx(three + 3 * four)
    assert (free.unknown.unknown, free.unknown.spelled) == (4, False)


def test_unknown_words_pay_under_the_mixture_of_labels_too():
    lm = untrained_model(["one two"], labels=("x", "y"), unit="word", max_vocab=2, bos=False)
    old = LanguageModel(lm.params, dataclasses.replace(lm.vocabulary, spelling=None), lm.config)
    more = score_examples(lm, examples(["four"])).nats - score_examples(old, examples(["four"])).nats
    assert more == pytest.approx(lm.vocabulary.speller.nats(["four"]), rel=1e-6)


def test_a_text_is_scored_given_its_label_or_under_the_mixture_of_all():
    lm = untrained_model(["ab", "ba"], labels=("low", "high"), bos=False)
    eos = lm.vocabulary.eos
    for number, label in enumerate(lm.vocabulary.labels):
        ids = [lm.vocabulary.label_ids[number], *lm.vocabulary.encode("abba"), eos]
        given = score_examples(lm, [Example("abba", label=label)])
        assert given.nats[0] == pytest.approx(reference_nats(lm, ids, 1).sum(), rel=1e-4)
        assert given.characters.tolist() == [5]
    nats = class_nats(lm, ["abba"])[0]
    mixture = -math.log(np.exp(-nats).mean()) / math.log(2) / 5
    assert lm.score(["abba"])[0] == pytest.approx(mixture, rel=1e-5)
    assert lm.score(["abba"], labels=["low"])[0] == pytest.approx(nats[0] / math.log(2) / 5, rel=1e-5)


def test_a_text_is_scored_given_its_source():
    lm = untrained_model(["ab", "ba"], sources=True, bos=False)
    vocabulary = lm.vocabulary
    prefix = [*vocabulary.encode("ba"), vocabulary.source_end]
    ids = [*prefix, *vocabulary.encode("abb"), vocabulary.eos]
    result = score_examples(lm, [Example("abb", source="ba")])
    assert result.nats[0] == pytest.approx(reference_nats(lm, ids, len(prefix)).sum(), rel=1e-4)
    assert result.characters.tolist() == [4]
    with pytest.raises(InputError, match="source"):
        lm.score(["abb"])
    with pytest.raises(InputError, match="trained without labels"):
        lm.score(["abb"], sources=["ba"], labels=["x"])


@pytest.mark.parametrize("kind", [{}, {"window": 16}])
def test_a_model_that_adapts_learns_and_leaves_itself_as_it_was(kind):
    lm = untrained_model(["abcd\n"], **kind)
    before = jax.tree.map(np.array, lm.params)
    texts = examples(["abcdabcd" + "\n" * bool(kind)] * 200)
    plain, adapted = score_examples(lm, texts), score_examples(lm, texts, adapt=True)
    assert adapted.bits_per_character < 0.8 * plain.bits_per_character
    jax.tree.map(np.testing.assert_array_equal, before, lm.params)
    if not kind:  # the first texts are scored before anything is learned
        np.testing.assert_allclose(adapted.nats[:8], plain.nats[:8], rtol=1e-5)


def test_characters_outside_the_vocabulary_are_an_error_or_left_out_and_counted():
    lm = untrained_model(["ab"])
    result = score_examples(lm, examples(["aäb", "b"]))
    assert dict(result.missing) == {"ä": 1}
    assert result.characters.tolist() == [3, 2]
    with pytest.raises(InputError, match="'ä'"):
        lm.score(["aäb"])
    assert lm.score(["aäb"], unknown="drop") == lm.score(["ab"])


def test_what_has_no_score_is_refused():
    lm = untrained_model(["ab"], bos=False)
    with pytest.raises(InputError, match="nothing of the text '' is predicted"):
        lm.score([""])
    assert lm.score([]) == []
    with pytest.raises(InputError, match="one str"):
        lm.score("Anna")
    classifier = untrained_model(["ab"], labels=("x", "y"), head="classifier", bos=False)
    with pytest.raises(InputError, match="gives texts no probability"):
        classifier.score(["ab"])
    with pytest.raises(InputError, match="trained without labels; leave out `labels`"):
        untrained_model(["ab\n"], window=8).score(["ab"], labels=["x"])


LONG = ["abba" * 11, "ab", "baab" * 30, "", "b" * 17]


@pytest.mark.parametrize("bos", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"cell": "mingru", "layers": 2},
        {"labels": ("x", "y")},
        {"sources": True},
        {"labels": ("x", "y"), "head": "classifier"},
    ],
    ids=lambda kind: " ".join(map(str, kind)) or "plain",
)
def test_a_text_that_is_read_in_windows_has_the_score_of_the_whole(kind, bos, monkeypatch):
    if kind and "cell" not in kind and bos:
        pytest.skip("a label or a source begins the text, not <eos>")
    lm = untrained_model(["ab", "ba"], bos=bos, **kind)
    labels = ["x"] * len(LONG) if "labels" in kind else None
    given = [
        Example(text or "a", label=labels and "x", source="abab" * 3 if "sources" in kind else None) for text in LONG
    ]
    encoded, _ = lm.vocabulary.encode_examples(Examples.of(given))
    arguments = lm.model, lm.params, encoded, lm.vocabulary.eos, bos
    whole, scores = score_texts(*arguments), None if "head" in kind else score_examples(lm, given)
    for module in (batches, evaluation, score):
        monkeypatch.setattr(module, "LONGEST_SCORED", 8)
    for windowed, expected in zip(score_texts(*arguments), whole, strict=True):
        np.testing.assert_allclose(windowed, expected, rtol=2e-5)
    if scores is not None:
        np.testing.assert_allclose(score_examples(lm, given).nats, scores.nats, rtol=2e-5)


@pytest.mark.slow
def test_a_text_of_a_hundred_thousand_characters_needs_little_memory():
    """In windows its logits never lie in memory together: 100,000 × 64 rows × 100 ids took gigabytes."""
    program = (
        "import resource, sys; sys.path.insert(0, 'tests')\n"
        "from helpers import untrained_model\n"
        "lm = untrained_model(['abcdefgh' * 2])\n"
        "lm.score(['abcd' * 200]); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "lm.score(['abcd' * 25_000, 'ab'])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    assert int(python(program).splitlines()[-1]) < 200_000  # kilobytes


BY_TOKEN = [
    ({}, ["hell", "a^b", "lobed" * 20, "^"]),
    ({"bos": False}, ["hell", "a", "a^b"]),
    ({"window": 16}, ["ab\n", "\n", "d^b" * 15 + "\n", "c"]),
    ({"window": 16, "bos": False}, ["^ab\n", "\n", "dab"]),
    ({"unit": "word", "max_vocab": 3}, ["hello abcd", "abcd zoo hello"]),
    ({"unit": "word", "max_vocab": 3, "bos": False}, ["zoo abcd", "abcd zoo hello"]),
    ({"labels": ("x", "y"), "bos": False}, ["hell", "a^b"]),
]


@pytest.mark.parametrize(("settings", "texts"), BY_TOKEN)
def test_what_each_token_costs_adds_up_to_the_text(settings, texts):
    lm = untrained_model(["abcd\n", "hello", "abcd hello"], **settings)
    result = score_examples(lm, examples(texts), by_token=True)
    running = bool(settings.get("window"))
    assert [len(nats) for nats in result.by_token] == [
        len(lm.vocabulary.tokenize(text)) + (not running) for text in texts
    ]
    np.testing.assert_allclose([np.nansum(nats) for nats in result.by_token], result.nats, rtol=1e-5)
    for text, nats in zip(texts, result.by_token, strict=True):  # exactly what is left out or given costs nothing
        unpaid = [lm.vocabulary.id_of(token) is None and not lm.vocabulary.has_unknown
                  for token in lm.vocabulary.tokenize(text)] + [False] * (not running)  # fmt: skip
        if settings.get("bos") is False and "labels" not in settings and (not running or text == texts[0]):
            unpaid[unpaid.index(False)] = True
        assert np.isnan(nats).tolist() == unpaid
    assert score_examples(lm, examples(texts)).by_token == ()
    assert np.array_equal(score_examples(lm, examples(texts)).nats, result.nats)


def test_the_cost_of_a_token_is_that_of_the_model():
    lm = untrained_model(["abcd", "hello"])
    (nats,) = score_examples(lm, examples(["he^ll"]), by_token=True).by_token
    expected = reference_nats(lm, [lm.vocabulary.eos, *lm.vocabulary.encode("hell"), lm.vocabulary.eos], 1)
    np.testing.assert_allclose(nats, [*expected[:2], np.nan, *expected[2:]], rtol=1e-5)


def test_the_mixture_of_labels_is_known_better_with_every_token():
    lm = untrained_model(["abcd", "hello"], labels=("x", "y"), bos=False)
    text = "hello"
    (mixed,) = score_examples(lm, examples([text]), by_token=True).by_token
    given = [score_examples(lm, [Example(text, label)], by_token=True).by_token[0] for label in ("x", "y")]
    probabilities = np.exp(-np.array(given))
    belief = np.array([0.5, 0.5])
    for k, nats in enumerate(mixed):
        assert nats == pytest.approx(-math.log(belief @ probabilities[:, k]), rel=1e-5)
        belief = belief * probabilities[:, k] / (belief @ probabilities[:, k])
