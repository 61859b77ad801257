"""Imports: a file becomes a normal run; pickles, pipes and other files are refused."""

from __future__ import annotations

import os

import pytest
from exports import random_model, same_params, told, vocabulary_file
from helpers import PALINDROMES

import flaxchar
from flaxchar.export import importing
from flaxchar.export.importing import read_model


@pytest.fixture(scope="module")
def lm():
    return random_model()


@pytest.fixture
def weights(lm, tmp_path):
    lm.export(tmp_path / "keras", to="keras")
    return tmp_path / "keras" / "model.weights.h5"


def test_an_imported_model_writes_scores_and_is_saved(lm, weights, tmp_path):
    again = flaxchar.import_model(weights, vocabulary=vocabulary_file(tmp_path / "v.json", lm.vocabulary))
    assert same_params(again, lm)
    again.save(tmp_path / "run")
    run = flaxchar.load(tmp_path / "run")
    assert run.generate("An", temperature=0) == again.generate("An", temperature=0)
    assert run.score(["Anna"]) == again.score(["Anna"])


@pytest.mark.parametrize("settings", [{"bos": True}, {"bos": False}])
def test_what_flaxchar_exported_to_keras_comes_back_with_its_settings(tmp_path, settings):
    lm = random_model(**settings)
    lm.export(tmp_path / "a", to="keras")
    again = read_model(tmp_path / "a" / "model.weights.h5", tmp_path / "a" / "flaxchar.json")
    assert (again.config, again.vocabulary) == (lm.config, lm.vocabulary)


@pytest.mark.slow
def test_an_imported_model_is_trained_further(lm, weights, tmp_path):
    run = flaxchar.import_model(weights, vocabulary=vocabulary_file(tmp_path / "v.json", lm.vocabulary))
    run.save(tmp_path / "run")
    further = flaxchar.train(PALINDROMES, init_from=tmp_path / "run", steps=3, sample_prompts=())
    assert further.config.model.hidden == 12
    assert same_params(run, lm)


def test_the_description_of_a_torch_export_is_used_and_can_be_overruled(lm, tmp_path):
    lm.export(tmp_path / "torch", to="torch")
    path = tmp_path / "torch" / "model.safetensors"
    assert read_model(path).config == lm.config
    assert read_model(path, bos=False).config.data.bos is False
    other = flaxchar.Vocabulary(tuple(reversed(lm.vocabulary.tokens)))
    assert read_model(path, other).vocabulary == other


def test_a_file_without_a_description_needs_a_vocabulary(weights):
    assert "give the `vocabulary`" in told(read_model, weights)


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "pytorch_model.bin", "a.ckpt", "a.pkl"])
def test_a_pickle_is_never_read(name, lm, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    assert "save the state_dict with safetensors.torch.save_file" in told(read_model, tmp_path / name, lm.vocabulary)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.onnx"])
def test_other_endings_are_refused(name, lm, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    assert "another ending than .safetensors, .h5, .keras" in told(read_model, tmp_path / name, lm.vocabulary)


def test_what_is_no_file_is_refused_without_waiting(lm, tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    for name, expected in (
        ("pipe.h5", "no regular file"),
        ("none.h5", "No such file"),
        (".", "is a folder; name the file in it"),
    ):
        assert expected in told(read_model, tmp_path / name, lm.vocabulary)
        assert expected in told(read_model, tmp_path / "a.h5", tmp_path / name)


def test_the_message_about_a_folder_names_the_file_in_it(lm, weights):
    assert f"name the file in it: {weights}" in told(read_model, weights.parent, lm.vocabulary)
    assert f"name the file in it: {weights.parent / 'flaxchar.json'}" in told(read_model, weights, weights.parent)


def test_files_beyond_the_limit_are_refused_unread(lm, weights, monkeypatch):
    monkeypatch.setattr(importing, "MOST_WEIGHTS", 1000)
    assert "at most 1 kB are read" in told(read_model, weights, lm.vocabulary)


def test_vocabularies_with_labels_do_not_begin_with_eos_and_sources_are_refused(tmp_path):
    lm = random_model(labels=("good", "bad"), bos=False)
    lm.export(tmp_path / "a", to="keras")
    again = read_model(tmp_path / "a" / "model.weights.h5", tmp_path / "a" / "flaxchar.json", bos=True)
    assert not again.config.data.bos
    assert again.vocabulary == lm.vocabulary
    sourced = random_model(sources=True).vocabulary
    assert "has sources" in told(read_model, tmp_path / "a" / "model.weights.h5", sourced)


@pytest.mark.parametrize("vocabulary", [3, ["a"], b"x", {"a": 1}])
def test_other_vocabularies_are_refused(vocabulary, weights):
    assert "`vocabulary` is" in told(flaxchar.import_model, weights, vocabulary=vocabulary)
