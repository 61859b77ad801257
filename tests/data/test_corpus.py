"""From settings to texts: what is left out, what is held out, what is told."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import small_blocks

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data import corpus as module
from flaxchar.data.corpus import load_corpus, make_corpus
from flaxchar.data.examples import Chunk, Example
from flaxchar.data.tfds import Unreachable
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.settings import DataConfig


def test_blank_and_overlong_texts_are_left_out_and_counted():
    corpus = make_corpus(["a" * 10, "", "  ", "b" * 11, "c"], [], DataConfig(max_length=10), 0)
    assert list(corpus.train.texts) == ["a" * 10, "c"]
    assert (corpus.empty, corpus.too_long) == (2, 1)
    assert "left out: 2 empty, 1 too long" in corpus.report()[0]


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(InputError, match=r"each of the 1 texts has more than 5 characters.*`max_length`.*`window=256`"):
        make_corpus(["a" * 10], None, DataConfig(max_length=5), 0)
    with pytest.raises(InputError, match="holds no text"):
        make_corpus(["", " "], None, DataConfig(), 0)


def test_where_all_texts_are_left_out_the_reason_is_told(tmp_path):
    told = "holds no text; {}s without a label left out: 2, the first in "
    path = tmp_path / "a.csv"
    path.write_text("text,kind\na,\nb,\n")
    with pytest.raises(InputError, match=told.format("row")):
        load_corpus(Config().replace(data=(str(path),), fields=("text",), label_field="kind", window=0))
    with pytest.raises(InputError, match=told.format("text")):
        flaxchar.train(["a", "b"], labels=[None, None], steps=1)


def test_files_to_evaluate_on_must_hold_a_text(tmp_path):
    texts, empty = tmp_path / "texts.txt", tmp_path / "empty.txt"
    texts.write_text("a\nb\n")
    empty.write_text("\n\n")
    with pytest.raises(InputError, match=r"the files of `val_data` hold no text to evaluate on: .*empty\.txt"):
        load_corpus(Config().replace(data=(str(texts),), val_data=(str(empty),)))


def test_a_text_that_is_no_str_is_an_error():
    with pytest.raises(InputError, match="must be a str or an Example; one is bytes"):
        make_corpus([b"a"], None, DataConfig(), 0)


def test_html_debris_is_pointed_out_and_decoded():
    texts = ["It #39;s", "&lt;b&gt; 5 &amp; 6", "costs  #36;10", "AT&T #1"]
    corpus = make_corpus(texts, [], DataConfig(), 0)
    assert any("3 texts (75%)" in notice and "`unescape_html`" in notice for notice in corpus.notices)
    assert next(iter(make_corpus(texts, [], DataConfig(unescape_html=True), 0).train)).text == "It's"
    clean = make_corpus(["a"] * 200 + ["&lt;"], [], DataConfig(), 0)
    assert not clean.notices


def test_held_out_texts_that_are_also_learned_are_reported():
    corpus = make_corpus(["a", "b"], ["b", "c"], DataConfig(), 0)
    assert any("1 of the 2 held-out texts" in notice for notice in corpus.notices)


@pytest.mark.parametrize("text", ["a", "b", "c", "d", "e"])
def test_held_out_texts_are_compared_with_one_text_that_is_learned(text):
    """A table of its few hashes would overflow with NumPy 2.0, where they are 2^63 or more."""
    corpus = make_corpus([text] * 20, [text, "x"], DataConfig(), 0)
    assert any("1 of the 2 held-out texts" in notice for notice in corpus.notices), corpus.notices


def test_held_out_copies_of_a_few_texts_are_told():
    corpus = make_corpus([f"line {k % 30}" for k in range(900)], None, DataConfig(), 0)
    assert set(corpus.held_out.texts).isdisjoint(corpus.train.texts)
    different, all_of_them = len(set(corpus.held_out.texts)), len(corpus.held_out)
    assert any(
        f"the {all_of_them} held-out texts are copies of {different} text" in notice for notice in corpus.notices
    )
    assert not make_corpus([f"line {k}" for k in range(900)], None, DataConfig(), 0).notices


@pytest.mark.parametrize(("count", "fraction"), [(3, None), (900, 0.0)])
def test_nothing_is_told_of_copies_where_no_text_is_held_out(count, fraction):
    corpus = make_corpus([f"line {k}" for k in range(count)], None, DataConfig(val_fraction=fraction), 0)
    assert not len(corpus.held_out)
    assert not corpus.notices


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
    monkeypatch.setattr(module, "load_tfds", lambda *arguments: (iter([Chunk(["a", "b"])]), iter([Chunk(["c"])])))
    corpus, config = load_corpus(Config())
    assert config.data.dataset == "ag_news_subset"
    assert (list(corpus.train.texts), list(corpus.held_out.texts), corpus.floor) == (["a", "b"], ["c"], None)


def test_the_floor_is_given_only_where_it_is_comparable():
    assert load_corpus(Config().replace(dataset="headlines"))[0].floor is not None
    for settings in ({"bos": False}, {"window": 50}, {"max_length": 60}):
        assert load_corpus(Config().replace(dataset="headlines", **settings))[0].floor is None


def test_the_embedded_corpus_does_not_depend_on_the_seed():
    one, other = (load_corpus(Config().replace(dataset="headlines", seed=seed))[0] for seed in (0, 1))
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize("window", [None, 16])
def test_a_corpus_does_not_depend_on_the_block(window):
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list("abé \n"), rng.integers(1, 30))) for _ in range(60)]
    given_texts = lines if window is None else ["".join(lines[:30]), "".join(lines[30:])]
    data = DataConfig(window=window, val_fraction=0.2)
    whole = make_corpus(given_texts, None, data, seed=3)
    assert len(whole.held_out) > 0
    with small_blocks(7):
        parts = make_corpus(given_texts, None, data, seed=3)
        assert parts.fingerprint() == whole.fingerprint()
        assert Vocabulary.build(parts.train) == Vocabulary.build(whole.train)
        ids = Vocabulary.build(parts.train).encode_examples(parts.train)[0]
    np.testing.assert_array_equal(ids.ids, Vocabulary.build(whole.train).encode_examples(whole.train)[0].ids)


def test_it_is_told_where_far_less_running_text_is_held_out_than_was_asked():
    """Whole pieces are held out: of a folder of programs perhaps one short file."""
    data = DataConfig(window=64, val_fraction=0.05)
    short = [f"piece {k:2}\n" for k in range(30)]
    assert not make_corpus(short, None, data, 0).notices
    (notice,) = make_corpus([*short, "a long piece\n" * 1000], None, data, 1).notices
    assert notice.startswith("18 characters are held out instead of about 664, because only whole pieces are held out")
    assert not make_corpus([*short, "a long piece\n" * 1000], None, DataConfig(window=64, val_fraction=0), 1).notices


def test_running_text_is_reported_by_its_size_and_not_by_the_lengths_of_texts():
    book = make_corpus(["one line\n" * 100], None, DataConfig(window=64, val_fraction=0.1), 0)
    first, second = book.report()
    assert first == "texts: running text of 810 characters to learn, 90 held out"
    assert second == "90 lines to learn, in windows of 64 characters"
    pieces = make_corpus(["a\nb\n", "", "cd"], [], DataConfig(window=64), 0)
    assert (
        pieces.report()[0] == "texts: running text of 6 characters to learn in 2 pieces, 0 held out; left out: 1 empty"
    )


LABELLED = [Example(f"text {k}", label="odd" if k % 2 else "even") for k in range(40)]


def test_labels_are_named_in_the_report_and_kept_with_their_texts():
    corpus = make_corpus(LABELLED, None, DataConfig(val_fraction=0.25), 0)
    assert corpus.labels == ("even", "odd")
    assert sorted([*corpus.train, *corpus.held_out]) == sorted(LABELLED)
    assert "2 classes: 'even', 'odd'; the model is given the class of a text" in corpus.notices[-1]
    classified = make_corpus(LABELLED, None, DataConfig(), 0, classify=True)
    assert "learns to predict the class" in classified.notices[-1]


def test_a_text_with_two_labels_or_sources_alike_is_on_one_side():
    twice = [Example(f"text {k // 2}", label=str(k % 2)) for k in range(80)]
    corpus = make_corpus(twice, None, DataConfig(val_fraction=0.25), 0)
    assert len(corpus.held_out) == 20
    assert not {example.text for example in corpus.train} & {example.text for example in corpus.held_out}


@pytest.mark.parametrize(
    ("examples", "settings", "classify", "message"),
    [
        ([Example("a", "x", "b")], {}, False, "either labels or sources, not both"),
        ([Example("a", "x")], {"window": 8}, False, "running text has neither labels nor sources"),
        (["a"], {}, True, "a classifier learns labels, and the texts have none; name a `label_field`"),
    ],
)
def test_labels_and_sources_that_cannot_be_used_are_told(examples, settings, classify, message):
    with pytest.raises(InputError, match=message):
        make_corpus(examples, None, DataConfig(**settings), 0, classify=classify)


def test_the_names_of_many_files_are_shortened_and_findings_told(tmp_path):
    for k in range(300):
        (tmp_path / f"poem-number-{k:03}.txt").write_bytes(b"\xef\xbb\xbfone\ntwo\0\n")
    data = tuple(str(path) for path in sorted(tmp_path.iterdir()))
    corpus, _ = load_corpus(Config().replace(data=data, window=0))
    assert corpus.name == "poem-number-000.txt, poem-number-001.txt, poem-number-002.txt and 297 more files"
    assert corpus.notices[0] == f"zero bytes dropped: 300, the first in {data[0]}, line 2."


def test_one_text_with_remains_of_html_is_told_in_the_singular():
    (notice,) = make_corpus(["It#39;s"], [], DataConfig(), 0).notices
    assert notice.startswith("1 text (100%) holds remains of HTML")
