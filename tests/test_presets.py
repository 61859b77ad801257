"""Presets, and the one function that computes the configuration of a run."""

from __future__ import annotations

import itertools

import pytest
from helpers import PALINDROMES

import flaxchar
from flaxchar.config import Config
from flaxchar.hardware import Hardware
from flaxchar.presets import (
    LONG_TEXTS,
    PRESETS,
    SIZED_PRESETS,
    CorpusFacts,
    describe_by_corpus,
    make_preset,
    resolve,
)

CHARACTERS = (1, 199_999, 200_000, 1_000_000, 10_000_000, 10**10)


def facts(characters=500_000, **data):
    return CorpusFacts(Config().replace(**{"window": 0, **data}).data, characters)


def test_every_preset_for_every_corpus_is_valid():
    for name, count, running, length in itertools.product(
        (*PRESETS, *SIZED_PRESETS), CHARACTERS, (False, True), (10, LONG_TEXTS)
    ):
        config = make_preset(name, count, running, length)
        if name == "classifier":
            config = config.replace(label_field="label")
        config.validate()


def test_more_text_is_never_dropped_more():
    for name, running in itertools.product(SIZED_PRESETS, (False, True)):
        rates = [make_preset(name, count, running).model.dropout for count in CHARACTERS]
        assert rates == sorted(rates, reverse=True)


def test_little_text_is_read_sixteen_times_and_more_for_a_time():
    assert make_preset("default", 100_000).training.epochs == 16
    assert make_preset("best", 100_000).training.epochs == 16
    assert make_preset("default", 200_000).training.epochs is None
    assert make_preset("fast", 200_000).training.time_budget == "1m"
    assert make_preset("best", 200_000).training.time_budget == "30m"


def test_presets_of_some_corpora():
    assert make_preset("default", 300_000) == Config()
    assert make_preset("best", 300_000, running=True).training.epochs == 12  # a short book is known by heart
    assert make_preset("fast", 5_000_000, mean_length=280) == make_preset("fast", 5_000_000, running=True)
    assert make_preset("reference", 10) == PRESETS["reference"]
    assert make_preset("classifier", 10).model.head == "classifier"


@pytest.mark.usefixtures("as_on_a_cpu")
def test_without_settings_a_model_is_trained_as_its_few_texts_want_it():
    lm = flaxchar.train(PALINDROMES)
    assert lm.config.model == make_preset("default", 100).model
    assert lm.config.training == make_preset("default", 100).training
    assert flaxchar.train(PALINDROMES, steps=2, hidden=8).config.training.epochs is None


def test_windows_and_long_texts_make_smaller_batches():
    for count in CHARACTERS[2:]:
        assert make_preset("default", count, running=True).training.batch_size == 16
        assert make_preset("default", count, mean_length=LONG_TEXTS).training.batch_size == 16
        assert make_preset("default", count).training.batch_size == 32


# -- resolve ----------------------------------------------------------------------------------------------------------


def test_what_the_user_set_comes_before_the_preset():
    config = resolve({"hidden": 99, "optimizer": "sgd"}, "reference")
    assert config == PRESETS["reference"].replace(hidden=99, optimizer="sgd")
    config = resolve({"dropout": 0.2}, "best", corpus=facts(100))
    assert config.model == make_preset("best", 100).replace(dropout=0.2).model


def test_a_setting_that_equals_the_default_still_counts():
    default = Config().training.optimizer
    assert make_preset("default", 100).training.optimizer != default
    assert resolve({"optimizer": default}, corpus=facts(100)).training.optimizer == default


@pytest.mark.parametrize("length", [{"steps": 7}, {"time_budget": "9s"}, {"epochs": 3}])
def test_a_given_length_replaces_that_of_the_preset(length):
    for preset, corpus in (("reference", None), ("default", facts(100)), ("best", facts(10**6))):
        training = resolve(length, preset, corpus=corpus).training
        lengths = {name: getattr(training, name) for name in ("epochs", "steps", "time_budget")}
        assert {name: value for name, value in lengths.items() if value is not None} == length


def test_the_data_settings_come_from_the_user_and_the_corpus_alone():
    before = resolve({"data": ("a.txt",)})
    assert before.data == Config().replace(data=("a.txt",)).data
    read = facts(data=("a.txt",), window=256)
    after = resolve({"data": ("a.txt",)}, corpus=read)
    assert after.data == read.data
    assert after.training == make_preset("default", 500_000, running=True).training


def test_a_saved_run_is_continued_with_its_own_settings():
    saved = Config().replace(hidden=8, steps=5, data=("a",), window=0)
    assert resolve({}, base=saved) == saved
    assert resolve({"hidden": 8}, base=saved) == saved
    assert resolve({"hidden": 9}, base=saved).differences(saved) == [("hidden", 9, 8)]
    assert resolve({}, base=saved, corpus=CorpusFacts(saved.data, 100)) == saved


def test_a_preset_on_a_saved_run_reads_the_same_texts():
    saved = make_preset("default", 100).replace(dataset="headlines", window=0)
    before = resolve({}, "default", saved)
    assert (before.data.dataset, before.data.window) == ("headlines", 0)
    assert resolve({}, "default", saved, CorpusFacts(before.data, 100)) == saved


def test_the_description_by_corpus_says_what_the_preset_does():
    assert describe_by_corpus("dropout") == (
        "0.5 under 200,000 characters, 0.2 under 1,000,000, 0.1 under 10,000,000, else 0.0"
    )
    assert describe_by_corpus("epochs") == "16 under 200,000 characters, else none"
    assert describe_by_corpus("batch_size") == (
        "32; for running text and long texts 8 under 200,000 characters, else 16"
    )
    assert describe_by_corpus("learning_rate") == "0.02; for running text 0.014 under 200,000 characters, else 0.02"
    assert describe_by_corpus("hidden") is None


# -- hardware ---------------------------------------------------------------------------------------------------------

GPU = Hardware("gpu", "NVIDIA H200", 141 << 30)


def test_every_preset_is_valid_on_a_gpu():
    for name, count, running, length, packable in itertools.product(
        SIZED_PRESETS, CHARACTERS, (False, True), (10, LONG_TEXTS), (False, True)
    ):
        config = make_preset(name, count, running, length, packable, GPU)
        config.validate()
        assert (config.training.buckets == 0) == (packable and not running)


def test_a_gpu_learns_a_text_of_known_size_in_a_number_of_passes():
    for count, running in itertools.product((10_000, 300_000, 1_100_000), (False, True)):
        assert make_preset("default", count, running, hardware=GPU).training.epochs
    assert make_preset("default", 10**9, hardware=GPU).training.epochs is None
    assert make_preset("best", 10**9, hardware=GPU).training.time_budget == "30m"
    assert make_preset("fast", 300_000, hardware=GPU).training.epochs == 12


def test_what_was_not_left_to_the_hardware_stays():
    assert make_preset("reference", 10, hardware=GPU) == make_preset("reference", 10)
    assert make_preset("default", 300_000, hardware=Hardware()) == make_preset("default", 300_000)


def test_a_preset_follows_the_hardware_that_trains():
    corpus = CorpusFacts(Config().replace(window=0).data, 500_000, hardware=GPU)
    assert resolve({}, corpus=corpus).training.buckets == 0
    assert resolve({"buckets": 3}, corpus=corpus).training.buckets == 3
