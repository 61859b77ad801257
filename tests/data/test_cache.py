"""Large corpora are encoded once, kept by content, and never half."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import numpy as np
import pytest

from flaxchar.config import Config, InputError
from flaxchar.data import cache as encoding
from flaxchar.data.cache import encode_corpus, load_encoded
from flaxchar.data.corpus import make_corpus
from flaxchar.data.examples import Example
from flaxchar.settings import DataConfig


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A settings object for a file of 300 lines, in a world where 1,000 bytes are many; and where ids are kept."""
    monkeypatch.setattr(encoding, "LARGE", 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"line {k * k} é\n" for k in range(300)), encoding="utf-8")
    return Config().replace(data=(str(path),)), tmp_path / "cache" / "flaxchar" / "corpora"


def same(one, other) -> bool:
    """Whether two encoded corpora are the same but for the lines that tell where they came from."""
    for a, b in ((one.train, other.train), (one.held_out, other.held_out)):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.offsets, b.offsets)
        assert a.ids.dtype == b.ids.dtype
    rest = ("vocabulary", "train_characters", "held_out_characters", "missing", "record")
    rest += ("train_unknown", "held_out_unknown")
    return all(getattr(one, name) == getattr(other, name) for name in rest)


def test_what_is_kept_is_what_was_encoded(corpus, monkeypatch):
    config, folder = corpus
    first, _ = load_encoded(config)
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(encoding, "load_corpus", lambda _: pytest.fail("the file was read again"))
    again, _ = load_encoded(config)
    assert isinstance(again.train.ids, np.memmap)
    assert same(first, again)
    assert "encoded before" in again.report[-1]
    assert str(folder) in again.report[-1]
    monkeypatch.undo()
    never_kept, _ = load_encoded(config)  # the file is small again
    assert same(first, never_kept)


def test_unknown_words_are_kept_and_an_old_run_gets_a_corpus_of_its_own(corpus, monkeypatch):
    config, folder = corpus
    config = config.replace(unit="word", max_vocab=50)
    first, _ = load_encoded(config)
    again, _ = load_encoded(config, like=first.vocabulary)
    assert "encoded before" in again.report[-1]
    assert same(first, again)
    assert len(first.train_unknown.tokens) > 100
    assert 0 < first.held_out_unknown.unknown < first.held_out_unknown.words
    old = dataclasses.replace(first.vocabulary, spelling=None, word_rule="runs")
    as_before, _ = load_encoded(config, like=old)
    assert as_before.vocabulary == old
    assert not as_before.held_out_unknown.nats
    assert len(list(folder.iterdir())) == 2


def test_a_copy_of_the_file_is_known_and_a_change_is_seen(corpus, tmp_path):
    config, folder = corpus
    load_encoded(config)
    path = Path(config.data.data[0])
    copy = tmp_path / "copy.txt"
    copy.write_bytes(path.read_bytes())
    load_encoded(config.replace(data=(str(copy),)))
    assert len(list(folder.iterdir())) == 1
    path.write_text(path.read_text(encoding="utf-8").replace("line 4 ", "line 5 "), encoding="utf-8")
    changed, _ = load_encoded(config)
    assert len(list(folder.iterdir())) == 2
    assert "encoded before" not in changed.report[-1]


@pytest.mark.parametrize("settings", [{"unit": "word"}, {"window": 32}, {"seed": 1}, {"val_fraction": 0.2}])
def test_other_settings_are_another_corpus(corpus, settings):
    config, folder = corpus
    load_encoded(config)
    load_encoded(config.replace(**settings))
    assert len(list(folder.iterdir())) == 2


def test_what_does_not_change_the_ids_is_no_other_corpus(corpus):
    config, folder = corpus
    load_encoded(config.replace(window=32))
    load_encoded(config.replace(window=64, hidden=16, batch_size=3))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("name", ["corpus.json", "train", "train_offsets.npy", "held_out.npy"])
@pytest.mark.parametrize("damage", ["gone", "short", "one bit", "longer"])
def test_damage_is_mended(corpus, name, damage):
    config, folder = corpus
    first, _ = load_encoded(config)
    first = dataclasses.replace(first, train=dataclasses.replace(first.train, ids=np.array(first.train.ids)))
    (kept,) = folder.iterdir()
    if damage == "gone":
        (kept / name).unlink()
    else:
        content = bytearray((kept / name).read_bytes())
        if damage == "one bit":
            content[len(content) * 2 // 3] ^= 4
        (kept / name).write_bytes(
            {"short": content[: len(content) // 2], "longer": content + b"0"}.get(damage, content)
        )
    mended, _ = load_encoded(config)
    assert "are kept in" in mended.report[-1]
    assert same(first, mended)
    again, _ = load_encoded(config)
    assert "encoded before" in again.report[-1]
    assert same(first, again)


def test_where_nothing_can_be_kept_training_goes_on(corpus, tmp_path):
    config, _ = corpus
    (tmp_path / "cache").write_text("a file, where a folder should be")
    encoded, _ = load_encoded(config)
    assert len(encoded.train) == 285


def test_a_file_that_grows_while_it_is_read_is_not_kept_as_what_it_was(corpus, monkeypatch):
    config, folder = corpus
    path, load = Path(config.data.data[0]), encoding.load_corpus
    content = path.read_bytes()

    def grow_and_load(config):
        path.write_bytes(content + b"one more line\n" * 100)
        return load(config)

    monkeypatch.setattr(encoding, "load_corpus", grow_and_load)
    grown, _ = load_encoded(config)
    assert grown.report[-1] == "the files changed while they were read, so the ids are not kept"
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(encoding, "load_corpus", load)
    path.write_bytes(content)
    assert len(load_encoded(config)[0].train) < len(grown.train)


def test_a_full_disk_is_told_and_leaves_nothing_behind(corpus, monkeypatch):
    config, folder = corpus

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoding, "_write", full)
    with pytest.raises(InputError, match=r"No space left on device.*XDG_CACHE_HOME"):
        load_encoded(config)
    assert list(folder.iterdir()) == []


def test_what_is_left_out_of_a_source_is_not_subtracted_from_the_characters_of_a_text():
    learned = [Example("ab", source="cd")]
    held_out = [Example("abz", source="zzzzcd")]
    encoded = encode_corpus(make_corpus(learned, held_out, DataConfig(), 0), DataConfig())
    assert encoded.missing == {"z": 5}
    assert encoded.held_out_characters == len("ab") + 1
    classified = make_corpus([Example("ab", "x")], [Example("abz", "x")], DataConfig(), 0, classify=True)
    assert encode_corpus(classified, DataConfig()).held_out_characters == 1


def test_held_out_texts_of_unknown_characters_alone_are_left_out():
    encoded = encode_corpus(make_corpus(["ab"], ["zz", "a"], DataConfig(), 0), DataConfig())
    assert encoded.held_out.lengths.tolist() == [1]
    assert encoded.missing == {}
    assert encoded.held_out_characters == 2


@pytest.mark.parametrize(
    ("settings", "targets"),
    [({}, 4 + 2), ({"bos": False}, 4), ({"window": 3, "bos": False}, 4 + 1), ({"unit": "word"}, 2 + 2)],
)
def test_the_characters_of_a_token_are_those_that_it_predicts(settings, targets):
    """Of "ab" and "cd": with <eos> before a text, its first token and <eos> after it are predicted too."""
    data = Config().replace(val_fraction=0, **settings).data
    corpus = encode_corpus(make_corpus(["ab", "cd"], None, data, 0), data)
    assert corpus.characters_per_token(data) == pytest.approx(corpus.train_characters / targets)


def test_a_change_anywhere_in_a_file_changes_its_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_PART", 16)
    monkeypatch.setattr(encoding, "_BLOCK", 8)
    content, hashes = bytes(range(50)), set()
    changed = [content[:k] + b"\xff" + content[k + 1 :] for k in range(len(content))]
    for k, variant in enumerate([content, content[:-1], content + b"\0", content[16:32] + content[:16], *changed]):
        (tmp_path / str(k)).write_bytes(variant)
        hashes.add(encoding._digest(tmp_path / str(k)))
    assert len(hashes) == 4 + len(content)
    assert encoding._digest(tmp_path / "0") in hashes
    (tmp_path / "empty").touch()
    assert encoding._digest(tmp_path / "empty") not in hashes
