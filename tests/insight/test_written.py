"""Samples over temperatures, and copying: a text of the training texts is found in them."""

from __future__ import annotations

from helpers import untrained_model

from flaxchar.data.examples import Examples
from flaxchar.insight import written
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


def test_copies_are_found_in_all_training_texts_also_beyond_those_that_are_indexed(monkeypatch):
    lm = untrained_model(["ab", "ba"])
    samples = [text.text for text in written._write(lm, (), 0.8, 60)]
    monkeypatch.setattr(written, "_INDEXED", 10)
    copying = measure_copying(lm, Examples.of(["ab" * 20, *samples[:3]]))
    assert copying.indexed == 1
    assert copying.texts == 4
    assert copying.copies == sum(sample in samples[:3] for sample in samples)
