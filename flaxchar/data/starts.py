"""Where running text begins: what a model is fed before a text that it writes without a prompt.

Running text is learned as one stream, so the model hardly ever sees its beginning. It sees what comes after a blank
line all the time. ``docs/decisions/running-text.md`` has the measurements.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from flaxchar.data.texts import Texts
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.settings import BeginAt, DataConfig

# Blank lines separate paragraphs if there are at least this many for each line.
_BLANK_SHARE = 0.02
# Characters that are looked at, about.
_LOOKED_AT = 4_000_000
_FED = {"paragraph": "\n\n", "line": "\n"}


def where_texts_begin(texts: Texts) -> BeginAt:
    """Find out where a text can begin in running text: at a paragraph if blank lines separate them, else at a line."""
    seen = lines = blank = 0
    for block in texts.blocks():
        lines += block.count("\n")
        blank += block.count("\n\n")
        seen += len(block)
        if seen >= _LOOKED_AT:
            break
    if not lines:
        return "anywhere"
    return "paragraph" if blank >= _BLANK_SHARE * lines else "line"


def settle_beginning(data: DataConfig, begin_at: BeginAt | None) -> DataConfig:
    """Fill in ``begin_at`` of running text where the user left it open."""
    return data if data.begin_at is not None or not data.running else dataclasses.replace(data, begin_at=begin_at)


def before_a_text(data: DataConfig, vocabulary: Vocabulary) -> np.ndarray:
    """The ids that are fed, and not shown, before a text without a prompt: a blank line or a line feed.

    Returns:
      int32 ``[tokens]``; empty for separate texts, which begin after ``<eos>``, and for models that know no line feed.
    """
    ids = vocabulary.encode(_FED.get(data.begin_at or "anywhere", "") if data.running else "", "drop")
    return ids[ids != vocabulary.unknown]
