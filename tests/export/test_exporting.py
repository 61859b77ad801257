"""Exports: what a format cannot express is refused, nothing is overwritten, and nothing is left half written."""

from __future__ import annotations

import os
from typing import get_args

import pytest
from exports import random_model, told

from flaxchar.export import exporting
from flaxchar.export.exporting import SUFFIXES, ExportFormat, cannot_express, export_model
from flaxchar.storage import StorageError

FORMATS = get_args(ExportFormat)


@pytest.fixture(scope="module")
def lm():
    return random_model(embedding=0)


MODELS = {
    "classifier": {"head": "classifier", "labels": ("good", "bad")},
    "sources": {"sources": True},
    "words": {"unit": "word", "max_vocab": 4},
    "labels": {"labels": ("good", "bad"), "bos": False},
    "minGRU": {"cell": "mingru"},
    "residual": {"layers": 2, "residual": True},
    "LayerNorm": {"layers": 2, "layer_norm": True},
    "3,000 characters": {"texts": ["".join(map(chr, range(0x4E00, 0x4E00 + 3000)))]},
    "right to left": {"texts": ["שלום", "é̂"]},
}
REFUSED = {
    "classifier": {"torch", "keras", "html", "onnx"},
    "sources": {"torch", "keras", "html", "onnx"},
    "words": {"html"},
    "minGRU": {"torch", "keras"},
    "residual": {"torch", "keras"},
    "LayerNorm": {"torch", "keras"},
}


@pytest.mark.parametrize("name", list(MODELS))
def test_each_format_takes_a_model_or_says_in_a_sentence_why_not(name, tmp_path):
    lm = random_model(**MODELS[name])
    for to in FORMATS:
        path = tmp_path / to
        if to in REFUSED.get(name, ()):
            assert '`to="safetensors"` takes every model' in told(export_model, lm, path, to)
            assert not path.exists()
        else:
            assert cannot_express(lm, to) is None
            export_model(lm, path, to)
            assert path.is_dir() == (to in ("torch", "keras"))
    assert set(SUFFIXES) == set(FORMATS)


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_overwritten(to, lm, tmp_path):
    path = tmp_path / "a"
    path.write_text("mine")
    assert f"{path} exists already" in told(export_model, lm, path, to)
    assert path.read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    assert "exists already" in told(export_model, lm, link, to)
    assert "there is no folder" in told(export_model, lm, tmp_path / "no" / "a", to)
    assert sorted(tmp_path.iterdir()) == [path, link]


@pytest.mark.parametrize("to", ["keras", "torch"])
def test_a_folder_that_cannot_be_finished_leaves_nothing(to, lm, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        export_model(lm, tmp_path / "a", to)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appears_meanwhile_is_left_alone(lm, tmp_path, monkeypatch):
    def slow(trained):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "mine").write_text("mine")
        return {"model.py": b""}

    monkeypatch.setattr(exporting, "torch_files", slow)
    assert "by another process" in told(export_model, lm, tmp_path / "a", "torch")
    assert (tmp_path / "a" / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("to", ["pickle", "", None, 3, ["html"]])
def test_other_formats_are_refused(to, lm, tmp_path):
    assert "`to` is" in told(export_model, lm, tmp_path / "a", to)


def test_an_export_can_be_read_by_whoever_the_umask_lets(lm, tmp_path):
    before = os.umask(0o022)
    try:
        export_model(lm, tmp_path / "a", "torch")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
