"""Reads and fills in the templates in ``template_files/``: ``{{name}}`` stands for a value."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping

import flaxchar
from flaxchar.export.metadata import beginnings, in_words
from flaxchar.models.trained import TrainedModel


def read_template(name: str) -> str:
    """The text of a template."""
    return importlib.resources.files("flaxchar.export").joinpath("template_files", name).read_text(encoding="utf-8")


def fill(name: str, values: Mapping[str, str]) -> str:
    """Fill in a template; the values are not escaped.

    Example::

        fill("page.html", {"title": "headlines", …})
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], read_template(name))


def template_values(trained: TrainedModel) -> dict[str, str]:
    """The values that both Python templates need."""
    vocabulary, by_label = trained.vocabulary, beginnings(trained)
    first = next(iter(by_label.values()))
    lines = [
        f"START = {list(first.start)}  # fed before a text that has a prompt",
        f"BEGIN = {list(first.begin)}  # fed where there is no prompt",
    ]
    if vocabulary.labels:
        labels = dict(zip(vocabulary.labels, vocabulary.label_ids, strict=True))
        lines.append(f"LABELS = {labels!a}  # for a text of another label, begin and start with its id: [id]")
    known = next((token for token in vocabulary.tokens if token is not None), "")
    return {
        "version": flaxchar.__version__,
        "model": in_words(trained),
        "ids": str(vocabulary.size),
        "eos": str(vocabulary.eos),
        "never_written": str(list(vocabulary.never_written)),
        "beginnings": "\n".join(lines) + "\n",
        "prompt": ascii(known if vocabulary.unit == "char" else [known]),
    }
