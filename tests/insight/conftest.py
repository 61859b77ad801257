"""Runs for the reports: saved with untrained parameters, beside the file of their texts."""

from __future__ import annotations

import json

import pytest
from helpers import untrained_model

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)> & {{ 7 * 7 }}'
SHALOM, CAFE, FAMILY = "שלום עולם", "cafe\u0301 x", "👩\u200d👩\u200d👧 ok"


def save_run(folder, texts, field=None, **settings):
    """Save an untrained model of texts, a quarter of which are held out.

    Args:
      folder: the folder of the file and the run.
      texts: strings, or pairs of a text and its label or source.
      field: what the second of a pair is: ``"label"`` or ``"source"``; ``"unused"`` to train without it.
      settings: settings of the run.
    """
    path = folder / "texts.jsonl"
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    rows = [{"text": text, "other": other} for text, other in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {"data": (str(path),), "fields": ("text",), "val_fraction": 0.25, "window": 0, **settings}
    if field in ("label", "source"):
        settings |= {f"{field}_field": "other", "bos": False}
    labels = tuple(dict.fromkeys(other for _, other in pairs)) if field == "label" else ()
    plain = [text for text, _ in pairs] + [other for _, other in pairs if field == "source"]
    lm = untrained_model(plain, labels=labels, sources=field == "source", **settings)
    lm.save(folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    """A run on texts that would be dangerous or ugly if the page did not take care."""
    texts = [f"{HOSTILE} {k}" if k % 4 == 0 else f"He said {k}: (a) {SHALOM} {CAFE} {FAMILY}\u202e" for k in range(60)]
    return save_run(tmp_path_factory.mktemp("hostile"), texts)
