"""Forms: which form of a text a model knows, and which known characters come near an unknown one."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.forms import fit, normalized, shown, suggestions

KNOWN = frozenset(string.ascii_letters + string.digits + " .,'\"-?!\n")


def fitted(text, known=KNOWN, **options):
    return fit(text, known, lambda form: sum(character not in known for character in form), **options)


def test_a_text_that_is_known_stays_as_it_is():
    mixed = "e\u0301é"  # a corpus may hold both forms
    assert fitted(mixed, set(mixed)) == (mixed, ())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_normal_form_of_the_training_texts_is_found(form):
    text = "Đặng Thị Mỹ, café, 한글"
    trained = unicodedata.normalize(form, text)
    for given_form in ("NFC", "NFD"):
        result = fitted(unicodedata.normalize(given_form, text), set(trained), replace=False)
        assert result.text == trained
        assert len(result.changes) == (given_form != form)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("“It’s” – so…", KNOWN, '"It\'s" - so...'),
        ('"It\'s" ("a")...', set("It’‘s“”…( )a"), "“It’s” (“a”)…"),
        ("a\r\nb", set("ab\n"), "a\nb"),
        ("a\u00a0b\u3000c\td", set("abcd "), "a b c d"),
        ("a b", set("ab\u3000"), "a\u3000b"),
        ("ﬁn ＡＢ", KNOWN, "fin AB"),
        ("Hi!", set("Ｈｉ！"), "Ｈｉ！"),
        ("\ufeffa\u200bb\u00ad", KNOWN, "ab"),
        ("cafe\u0301 “x”", set('café "x'), 'café "x"'),
    ],
)
def test_unknown_characters_are_replaced_by_known_ones_that_stand_for_the_same(text, known, expected):
    assert fitted(text, known).text == expected
    assert fitted(expected, known) == (expected, ())


def test_changes_are_told_and_the_fewest_are_made():
    assert fitted("“a\u00a0b", set('a b"')).changes == (
        "with '\"' instead of '“'",
        "with ' ' instead of U+00A0 (no-break space)",
    )
    assert fitted("\u200bé", set("é")).changes == ("without U+200B (zero width space)",)
    assert fitted("“Ω", set("“a")) == ("“Ω", ())  # nothing makes it better


@given(st.text(), st.frozensets(st.characters()))
def test_no_form_has_more_unknown_characters_and_without_replacing_it_is_the_same_text(text, known):
    count = lambda form: sum(character not in known for character in form)  # noqa: E731
    result = fit(text, known, count)
    assert count(result.text) <= count(text)
    assert bool(result.changes) or result.text == text
    same = fit(text, known, count, replace=False)
    assert unicodedata.normalize("NFC", same.text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("missing", "advice"),
    [
        ("é", "did you mean 'e'?"),
        ("É", "did you mean 'E'?"),
        ("ø", "did you mean 'o'?"),
        ("ł", "did you mean 'l'?"),
        ("ı", "did you mean 'i'?"),
        ("ß", "did you mean 's'?"),
        ("\u0410", "did you mean 'A'?"),  # the Cyrillic letter
        ("“", "did you mean '\"'?"),
        ("…", "did you mean '...'?"),
        ("①", "did you mean '1'?"),
        ("漢", ""),
        ("\ue000", ""),
        ("Ω", ""),
        ("éΩø", "did you mean 'e' for 'é', 'o' for 'ø'?"),
    ],
)
def test_an_unknown_character_suggests_the_nearest_known_one(missing, advice):
    assert suggestions(missing, KNOWN) == advice


def test_suggestions_prefer_the_other_case_and_work_for_words():
    assert suggestions("a", {"A", "à"}) == "did you mean 'A'?"
    assert suggestions(["hause"], {"Hause", "Haus", "house"}) == "did you mean 'Hause'?"
    assert suggestions(["xyz"], {"Haus"}) == ""


def test_characters_that_quotes_would_not_show_are_named():
    assert (shown("a"), shown("\n"), shown("é")) == ("'a'", "'\\n'", "'é'")
    assert shown("\u0301") == "U+0301 (combining acute accent)"
    assert shown("\ud83d") == "U+D83D"


def test_normal_forms_by_their_setting():
    assert normalized("e\u0301ﬁ", None) == "e\u0301ﬁ"
    assert normalized("e\u0301ﬁ", "nfc") == "éﬁ"
    assert normalized("e\u0301ﬁ", "nfkc") == "éfi"
