"""Constraints on written text: every text meets them, and what no text can meet is told before anything is drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import untrained_model
from hypothesis import given, settings
from hypothesis import strategies as st

import flaxchar
from flaxchar import InputError

SENTENCES = ["the cat sat on the mat.", "a dog ate 12 figs.", "The end", "no 7 cats.", "Ada ate a fig. a hat", "On it"]
POEM = "anna and otto\nlive in a tent.\nxavier too\n\nonly 12 lines\nare new.\n"


pytestmark = pytest.mark.usefixtures("jax_loop")


@pytest.fixture(scope="module")
def lm():
    return untrained_model(SENTENCES)


@pytest.fixture(scope="module")
def poet():
    """A model of running text."""
    return untrained_model([POEM], window=32, begin_at="paragraph", bos=False)


@pytest.fixture(scope="module")
def words():
    return untrained_model(SENTENCES, unit="word")


MODELS = ("lm", "poet", "words")


@pytest.fixture(params=MODELS)
def any_model(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "pattern", [r"(a|the) \w+ \w+\.", r"[a-d]*\d?", r"[^\n]{9,}", r".*t", r"(?i:ON) ?[^o]+", "a? ?"]
)
@pytest.mark.parametrize("temperature", [0, 1.0, 20.0])
def test_each_text_matches_the_regex_as_a_whole(any_model, pattern, temperature):
    for size in (14, 15, 60):
        for text in any_model.generate(regex=pattern, num_samples=8, size=size, temperature=temperature):
            assert re.fullmatch(pattern, text), text
            assert len(any_model.vocabulary.tokenize(text)) <= size


@pytest.mark.parametrize("pattern", ["(?s).*", "(?:.|\n)*"])
@pytest.mark.parametrize("temperature", [0, 0.8, 3.0])
def test_a_constraint_that_is_always_met_changes_no_letter(any_model, pattern, temperature):
    how = {"num_samples": 9, "size": 40, "temperature": temperature, "seed": 3}
    assert any_model.generate(regex=pattern, **how) == any_model.generate(**how)
    assert any_model.generate("a", regex=pattern, **how) == any_model.generate("a", **how)


def test_forbidden_characters_never_occur(any_model):
    for text in any_model.generate(forbid="ae", num_samples=20, size=50, temperature=5.0):
        assert not set(text) & set("ae")


@settings(max_examples=15, deadline=None)
@given(st.sets(st.sampled_from(sorted(set("".join(SENTENCES)))), max_size=12).map(sorted))
def test_any_characters_can_be_forbidden(lm, letters):
    text = lm.generate(forbid="".join(letters), size=30, temperature=3.0)[0]
    assert not set(text) & set(letters)


def test_a_text_ends_where_it_holds_the_stop_for_the_first_time(lm, poet):
    for model, stop in ((lm, "t"), (lm, "at"), (poet, "\n"), (poet, " a")):
        plain = model.generate(num_samples=20, temperature=1.5, size=60)
        for text, whole in zip(model.generate(stop=stop, num_samples=20, temperature=1.5, size=60), plain, strict=True):
            assert text == (whole[: whole.index(stop) + len(stop)] if stop in whole else whole)


def test_the_stop_is_looked_for_after_the_prompt(lm):
    for text in lm.generate("the cat ", stop="t", num_samples=10, temperature=1.0):
        assert "t" not in text[len("the cat ") : -1]


def test_a_model_of_words_stops_after_the_word_that_completes_the_stop(words):
    texts = words.generate(stop="at", num_samples=20, temperature=2.0, size=40)
    assert any("at" in text for text in texts)
    for text in texts:
        *before, _ = words.vocabulary.tokenize(text) or [""]
        assert "at" not in "".join(before)


def test_the_first_letters_of_lines_spell_the_acrostic(poet):
    for text in poet.generate(acrostic="Lax", num_samples=5, temperature=2.0, size=80):
        assert [line[0] for line in text.splitlines()] == ["l", "a", "x"]  # the poem has no L


def test_each_line_of_an_acrostic_is_a_text_where_texts_have_one_line(lm):
    poems = lm.generate(acrostic="tao", num_samples=3, temperature=1.0, size=20)
    for text in poems:
        assert [line[0].lower() for line in text.split("\n")] == ["t", "a", "o"]
        assert max(map(len, text.split("\n"))) <= 20
    assert lm.generate(acrostic="tao", num_samples=1, temperature=1.0, size=20) == poems[:1]
    assert "".join(lm.stream(acrostic="tao", sample=2, temperature=1.0, size=20)) == poems[2]


def test_equal_letters_of_an_acrostic_begin_lines_of_their_own(lm):
    lines = lm.generate(acrostic="tttttt", temperature=3.0)[0].split("\n")
    assert len(set(lines)) > 1


def test_all_constraints_hold_together(any_model):
    how = {"num_samples": 8, "temperature": 3.0, "size": 30}
    for text in any_model.generate("a", regex=r"[a-z ]+", forbid="n", stop="t", **how):
        assert re.fullmatch("[a-z ]+", text)
        assert "n" not in text


def test_a_stream_is_the_same_text(any_model):
    how = {"regex": r"[a-t ]+", "temperature": 2.0, "size": 40}
    (_, text) = any_model.generate(num_samples=2, **how)
    assert "".join(any_model.stream(sample=1, **how)) == text


def test_beam_search_meets_constraints(any_model):
    text = any_model.likeliest(regex=r"[a-t]{3,} a\w*", forbid="c", beams=3, size=20)
    assert re.fullmatch(r"[a-t]{3,} a\w*", text)
    assert "c" not in text


def test_beam_search_of_width_1_is_the_greedy_text(lm):
    how = {"regex": r"(the|a) [a-z ]{5,9}", "size": 20}
    assert lm.likeliest(beams=1, **how) == lm.generate(temperature=0, **how)[0]


def test_beam_search_writes_an_acrostic(lm):
    assert [line[0].lower() for line in lm.likeliest(acrostic="tn", beams=2).split("\n")] == ["t", "n"]


@pytest.mark.parametrize(
    ("constraints", "told"),
    [
        ({"regex": "Ω+"}, "no text of the characters that the model knows meets `regex`"),
        ({"regex": "a{30}", "size": 20},
         "the shortest text that meets `regex` takes 30 characters; `size` leaves room for 20"),
        ({"prompt": "the", "regex": "the.{5}", "size": 7},
         "the shortest text that begins with 'the' that meets `regex` takes 5 more characters; `size` leaves room for "
         "4 after the prompt"),
        ({"prompt": "the", "regex": "a.*"}, "no text that begins with the prompt 'the' meets `regex`"),
        ({"prompt": "the", "forbid": "e"}, "no text that begins with the prompt 'the' meets `forbid`"),
        ({"regex": "(a"}, "`regex` is '(a', which is no regular expression"),
        ({"regex": "t+", "forbid": "t"}, "no text of the characters that the model knows meets `forbid` and `regex`"),
        ({"acrostic": "aΩ"}, "`acrostic` holds 'Ω'"),
        ({"acrostic": "a b"}, "`acrostic` is 'a b'; it must be a word, without spaces"),
        ({"acrostic": "a", "prompt": "a"}, "`acrostic` and `prompt` exclude each other"),
        ({"acrostic": ""}, "`acrostic` is ''; it must have"),
        ({"stop": ""}, "`stop` is ''; it must have"),
        ({"stop": "eΩ"}, "`stop` holds 'Ω', which the model never writes"),
        ({"stop": 3}, "`stop` is 3; it must be"),
        ({"forbid": ["a"]}, "`forbid` is"),
        ({"repetition_penalty": 0.5}, "`repetition_penalty` is 0.5"),
        ({"repetition_penalty": 1e9}, "`repetition_penalty` is"),
        ({"regex": "[at]*a[at]{16}"}, "the automaton of `regex` has more than"),
    ],
)  # fmt: skip
def test_what_cannot_be_met_is_told(lm, constraints, told):
    with pytest.raises(InputError, match=re.escape(told)):
        lm.generate(**constraints)
    with pytest.raises(InputError, match=re.escape(told)):
        lm.stream(**constraints)  # at once, not with the first piece


def test_forbidding_every_character_is_told(any_model):
    with pytest.raises(InputError, match="`forbid` excludes every character that the model knows"):
        any_model.generate(forbid="".join(token or "" for token in any_model.vocabulary.tokens))


def test_an_unknown_constraint_is_a_wrong_argument(lm):
    with pytest.raises(TypeError, match="'regexp'; the constraints are forbid, regex, acrostic, stop"):
        lm.generate(regexp="a")


def test_a_repetition_penalty_writes_fewer_repetitions(lm):
    def repeated(penalty):
        texts = lm.generate(num_samples=16, temperature=1.0, size=30, repetition_penalty=penalty)
        return sum(len(text) - len(set(text)) for text in texts)

    assert repeated(100) < repeated(1.5) < repeated(1.0)


def test_a_penalty_of_many_never_repeats_a_character_while_there_is_another(lm):
    kernel, bias = lm.params["logits"]["kernel"], lm.params["logits"]["bias"]
    flat = {**lm.params, "logits": {"kernel": 0 * kernel, "bias": (0 * bias).at[lm.vocabulary.eos].set(-1e6)}}
    letters = {token for token in lm.vocabulary.tokens if token}
    model = flaxchar.LanguageModel(flat, lm.vocabulary, lm.config)
    for text in model.generate("a", repetition_penalty=100, size=len(letters), num_samples=4, temperature=0.2):
        assert set(text) == letters


def test_unconstrained_texts_know_nothing_of_constraints(lm):
    how = {"num_samples": 4, "size": 30}
    nothing = {"forbid": None, "regex": None, "acrostic": None, "stop": None, "repetition_penalty": 1.0, "blend": None}
    assert lm.generate(**nothing, **how) == lm.generate(**how)
    np.testing.assert_array_equal(lm.likeliest(forbid=None), lm.likeliest())


@pytest.mark.parametrize("kind", ["labels", "sources"])
def test_labels_and_sources_are_no_part_of_the_text(kind):
    settings = {"labels": ["x", "the cat"]} if kind == "labels" else {"sources": True}
    lm = untrained_model(SENTENCES, **settings)
    given = {"label": "the cat"} if kind == "labels" else {"source": "The end"}
    for text in lm.generate("a", regex=r"a [a-z]{4,9}", forbid="nT", num_samples=5, size=15, **given):
        assert re.fullmatch(r"a [a-mo-z]{4,9}", text)
    assert re.fullmatch("t{5}", lm.likeliest(regex="t{5}", beams=2, **given))


def test_an_accent_of_an_acrostic_belongs_to_its_letter():
    lm = untrained_model(["é a e\u0301"])
    assert [line[0] for line in lm.generate(acrostic="e\u0301a")[0].split("\n")] == ["é", "a"]
