"""From settings to texts: what is left out, what is held out, what is told."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar import Config, InputError
from flaxchar.config import DataConfig
from flaxchar.data import corpus as module
from flaxchar.data.corpus import load_corpus, make_corpus, split_texts, unescape_html
from flaxchar.data.texts import Texts
from flaxchar.data.tfds import Unreachable

some_texts = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=60)


def split(texts, *arguments, **settings):
    hashes = np.array([zlib.crc32(text.encode()) for text in texts], np.uint64)
    return tuple(map(list, split_texts(Texts.of(texts), hashes, *arguments, **settings)))


@given(some_texts, st.floats(0, 0.9), st.integers(0, 5))
def test_what_is_held_out_is_never_among_the_training_texts(texts, fraction, seed):
    train, held_out = split(texts, fraction, seed)
    assert not set(train) & set(held_out)
    assert sorted(train + held_out) == sorted(texts)
    assert len(held_out) <= round(fraction * len(texts))
    assert train
    assert split(texts, fraction, seed) == (train, held_out)


@pytest.mark.parametrize("count", [20, 100, 1000, 20_000])
def test_about_the_fraction_is_held_out_and_the_seed_chooses(count):
    texts = [str(k) for k in range(count)]
    train, held_out = split(texts, 0.05, 0)
    assert len(held_out) == count // 20
    assert train == sorted(train, key=int)  # in the order given
    assert split(texts, 0.05, 1)[1] != held_out


@given(st.text("ab\n", min_size=2, max_size=200), st.floats(0, 0.5))
def test_running_text_is_held_out_from_its_end(text, fraction):
    train, held_out = split([text], fraction, 0, running=True)
    assert "".join(train + held_out) == text


def test_blank_and_overlong_texts_are_left_out_and_counted():
    corpus = make_corpus(["a" * 10, "", "  ", "b" * 11, "c"], [], DataConfig(max_length=10), 0)
    assert list(corpus.train) == ["a" * 10, "c"]
    assert (corpus.empty, corpus.too_long) == (2, 1)
    assert "left out: 2 empty, 1 too long" in corpus.report()[0]


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(InputError, match=r"each of the 1 texts has more than 5 characters.*--max-length.*--window"):
        make_corpus(["a" * 10], None, DataConfig(max_length=5), 0)
    with pytest.raises(InputError, match="holds no text"):
        make_corpus(["", " "], None, DataConfig(), 0)


def test_a_text_that_is_no_str_is_an_error():
    with pytest.raises(InputError, match="must be a str; one is bytes"):
        make_corpus([b"a"], None, DataConfig(), 0)


def test_html_debris_is_pointed_out_and_decoded():
    texts = ["It #39;s", "&lt;b&gt; 5 &amp; 6", "costs  #36;10", "AT&T #1"]
    corpus = make_corpus(texts, [], DataConfig(), 0)
    assert any("3 texts (75%)" in notice and "--unescape-html" in notice for notice in corpus.notices)
    assert [unescape_html(text) for text in texts] == ["It's", "<b> 5 & 6", "costs $10", "AT&T #1"]
    assert next(iter(make_corpus(texts, [], DataConfig(unescape_html=True), 0).train)) == "It's"
    clean = make_corpus(["a"] * 200 + ["&lt;"], [], DataConfig(), 0)
    assert not clean.notices


def test_held_out_texts_that_are_also_learned_are_reported():
    corpus = make_corpus(["a", "b"], ["b", "c"], DataConfig(), 0)
    assert any("1 of the held-out texts" in notice for notice in corpus.notices)


def test_the_fingerprint_tells_corpora_apart():
    def fingerprint(train, held_out):
        return make_corpus(train, held_out, DataConfig(), 0).fingerprint()

    assert fingerprint(["a", "b"], ["c"]) == fingerprint(["a", "b"], ["c"])
    others = [(["ab"], ["c"]), (["b", "a"], ["c"]), (["a"], ["b", "c"]), (["a", "b"], ["d"])]
    assert all(fingerprint(*other) != fingerprint(["a", "b"], ["c"]) for other in others)


def test_without_ag_news_the_embedded_corpus_is_used_and_said(monkeypatch):
    def unreachable(*arguments):
        raise Unreachable("no network")

    monkeypatch.setattr(module, "load_tfds", unreachable)
    corpus, config = load_corpus(Config())
    assert config.data.dataset == "headlines"
    assert "AG News is neither prepared here nor within reach" in corpus.notices[0]
    assert corpus.floor is not None
    with pytest.raises(Unreachable):
        load_corpus(Config().replace(dataset="ag_news_subset"))


def test_ag_news_that_was_found_is_named_in_the_configuration(monkeypatch):
    monkeypatch.setattr(module, "load_tfds", lambda *arguments: (["a", "b"], ["c"]))
    corpus, config = load_corpus(Config())
    assert config.data.dataset == "ag_news_subset"
    assert (list(corpus.train), list(corpus.held_out), corpus.floor) == (["a", "b"], ["c"], None)


def test_the_floor_is_given_only_where_it_is_comparable():
    assert load_corpus(Config().replace(dataset="headlines"))[0].floor is not None
    for settings in ({"bos": False}, {"window": 50}, {"max_length": 60}):
        assert load_corpus(Config().replace(dataset="headlines", **settings))[0].floor is None


def test_the_embedded_corpus_does_not_depend_on_the_seed():
    one, other = (load_corpus(Config().replace(dataset="headlines", seed=seed))[0] for seed in (0, 1))
    assert one.fingerprint() == other.fingerprint()
