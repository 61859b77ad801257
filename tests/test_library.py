"""Training and loading from Python: texts, labels, settings and files, and what is refused by name."""

from __future__ import annotations

import pytest
from helpers import PALINDROMES

import flaxchar
from flaxchar import Config, InputError

SMALL = {"steps": 3, "hidden": 4, "buckets": 1}


def test_a_classifier_is_trained_from_pairs():
    pairs = [("abab", "low"), ("xyxy", "high")] * 20
    lm = flaxchar.train(pairs, preset="classifier", steps=60, hidden=8, buckets=1, val_fraction=0)
    assert lm.classify(["ab", "xy"]).labels == ["low", "high"]
    with pytest.raises(InputError, match="cannot write"):
        lm.generate()


def test_labels_may_be_numbers_and_texts_without_one_are_left_out():
    lm = flaxchar.train(["ab", "yz", "never"] * 20, labels=[4.5, True, None] * 20, steps=2, hidden=4, val_fraction=0)
    assert lm.vocabulary.labels == ("4.5", "True")
    assert "n" not in lm.vocabulary.tokens
    assert lm.generate(label="true", num_samples=1) == lm.generate(label="True", num_samples=1)


def test_held_out_texts_may_be_given_with_their_labels(tmp_path):
    pairs = [("abab", "low"), ("xyxy", "high")] * 4
    flaxchar.train(pairs, held_out=[("aba", "low")], workdir=tmp_path / "run", **SMALL)
    assert "held_out_bits_per_character" in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_presets_and_settings_combine():
    lm = flaxchar.train(PALINDROMES, preset="reference", **SMALL)
    assert (lm.config.training.optimizer, lm.config.model.hidden) == ("rmsprop", 4)
    assert flaxchar.train(PALINDROMES, config=Config().replace(**SMALL)).config.model.hidden == 4


def test_a_fresh_run_moves_the_old_one_aside(tmp_path):
    flaxchar.train(PALINDROMES, workdir=tmp_path / "run", **SMALL)
    other = {**SMALL, "hidden": 5}
    with pytest.raises(InputError, match="`fresh`"):
        flaxchar.train(PALINDROMES, workdir=tmp_path / "run", **other)
    flaxchar.train(PALINDROMES, workdir=tmp_path / "run", fresh=True, **other)
    assert flaxchar.load(tmp_path / "run").config.model.hidden == 5
    assert flaxchar.load(tmp_path / "run.1").config.model.hidden == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": "Anna"}, InputError, "`texts` is one str"),
        ({"texts": []}, InputError, "no text"),
        ({"data": ("a.txt",)}, InputError, "`data` says how files are read"),
        ({"label_field": "1"}, InputError, "`label_field` says how files are read"),
        ({"preset": "bets"}, InputError, "`preset` is 'bets'; it must be one of"),
        ({"preset": "fast", "config": Config()}, InputError, "`preset` and `config`"),
        ({"hidden": 0}, InputError, "`hidden` is 0"),
        ({"hidden": "12"}, InputError, "`hidden` is '12'"),
        ({"devices": 99}, InputError, "`devices` is 99"),
        ({"head": "classifier"}, InputError, "label"),
        ({"labels": ["x"]}, InputError, "`texts` has more items than `labels`"),
        ({"hiden": 3}, TypeError, "no such setting: hiden"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        flaxchar.train(**{"texts": PALINDROMES, "steps": 1, **arguments})


def test_an_unknown_setting_suggests_the_nearest():
    with pytest.raises(TypeError, match=r"no such setting: drop_out; did you mean dropout\?"):
        flaxchar.train(PALINDROMES, drop_out=0.1)


def test_files_are_read_as_the_command_reads_them(tmp_path):
    (tmp_path / "a.csv").write_text("title,n\n" + "Anna,1\nOtto,2\n" * 20)
    settings = {"hidden": 8, "steps": 2, "fields": "title"}
    for arguments in (
        {"texts": tmp_path / "a.csv"},
        {"texts": [tmp_path / "a.csv"]},
        {"data": str(tmp_path / "a.csv")},
    ):
        lm = flaxchar.train(**arguments, **settings)
        assert lm.config.data.data == (str(tmp_path / "a.csv"),)
        assert {token for token in lm.vocabulary.tokens if token and len(token) == 1} == set("AnaOto")
