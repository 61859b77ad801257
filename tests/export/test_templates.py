"""Templates: every value is filled in exactly, and the Python files that come out are Python."""

from __future__ import annotations

import pytest
from exports import random_model

from flaxchar.export.keras_weights import keras_files
from flaxchar.export.templates import fill, read_template, template_values
from flaxchar.export.torch_module import torch_files


def test_a_value_that_looks_like_a_place_is_left_alone(monkeypatch):
    monkeypatch.setattr("flaxchar.export.templates.read_template", lambda name: "{{a}} {{b}}")
    assert fill("x", {"a": r"{{b}}\1", "b": "2"}) == r"{{b}}\1 2"


@pytest.mark.parametrize(
    "name", ["page.html", "torch_model.py.txt", "keras_model.py.txt", "model.js", "page.js", "page.css"]
)
def test_the_templates_are_part_of_the_package(name):
    assert len(read_template(name)) > 500


@pytest.mark.parametrize("texts", [['"""', "\\", "{{ids}}"], ["é\u202e\U0001f600", "ab"], ["a\nb"]])
@pytest.mark.parametrize("settings", [{}, {"unit": "word", "max_vocab": 4}, {"labels": ('"""', "\n"), "bos": False}])
def test_whatever_the_characters_are_the_models_are_ascii_python(texts, settings):
    lm = random_model(texts, **settings)
    for files in (torch_files(lm), keras_files(lm)):
        source = files["model.py"].decode()
        assert "{{" not in source.replace("{{ids}}", "")
        compile(source, "model.py", "exec")
        assert max(map(len, source.splitlines())) < 140


def test_lines_say_which_ids_begin_a_text():
    values = template_values(random_model(window=8, begin_at="line", texts=["ab\n"]))
    assert values["beginnings"].splitlines() == [
        "START = [4]  # fed before a text that has a prompt",
        "BEGIN = [4, 3]  # fed where there is no prompt",
    ]
