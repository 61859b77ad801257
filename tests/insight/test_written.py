"""Samples over temperatures, and copying: a text of the training texts is found in them."""

from __future__ import annotations

from helpers import untrained_model

from flaxchar.data.examples import Examples
from flaxchar.insight.written import TEMPERATURES, measure_copying, write_samples


def test_samples_are_written_for_every_label_and_temperature():
    lm = untrained_model(["ab", "ba"], labels=("x", "y"), bos=False)
    samples = write_samples(lm)
    assert tuple(samples) == TEMPERATURES
    assert all([text.beginning for text in texts] == ["x", "x", "y", "y"] for texts in samples.values())
    copying = measure_copying(lm, Examples.of(["ab" * 40, "nothing"]))
    assert copying.samples == 60
    assert copying.texts == copying.indexed == 2
    for text in copying.examples:
        start, length = text.copied
        assert text.text[start : start + length] in "ab" * 40
