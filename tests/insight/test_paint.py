"""Painted texts: a cell for what readers take for one character, with the bits or the activation of the right place."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar.insight.paint import PAINTED, Span, clusters, paint_bits, paint_unit, visible
from flaxchar.insight.trace import END, Trace


def trace_of(tokens, bits=None, states=None):
    count = len(tokens)
    bits = np.arange(count, dtype=float) if bits is None else np.array(bits, float)
    states = np.zeros((1, count, 1), np.float32) if states is None else np.array(states, np.float32)[None, :, None]
    return Trace(list(tokens), bits, [[]] * count, states, {})


@pytest.mark.parametrize(
    ("tokens", "cells"),
    [
        ([*"ab", END], ["a", "b", "∎"]),
        ([*"cafe\u0301"], ["c", "a", "f", "e\u0301"]),
        ([*"👩\u200d👧!"], ["👩\u200d👧", "!"]),
        (["the", " ", "e\u0301t", END], ["the", " ", "e\u0301t", "∎"]),
        ([*"a\nb\u202e"], ["a", "⏎\n", "b", "U+202E"]),
        ([*"שלום"], [*"שלום"]),
        ([], []),
    ],
)
def test_cells(tokens, cells):
    painted = paint_bits(trace_of(tokens))
    assert [cell.text for cell in painted] == cells
    positions = [k for cell in painted for k in range(*cell.positions)]
    assert positions == list(range(len(tokens)))


def test_the_bits_of_a_cluster_are_added():
    names = [cell.name for cell in paint_bits(trace_of("ae\u0301b", [0.9, 2.5, 1.6, 99]))]
    assert names == ["b0", "b4", "b8"]


def test_a_character_has_the_activation_after_reading_it():
    trace = trace_of(["a", "b", "c", END], states=[0.0, 1.0, -1.0, 0.25])
    assert [(cell.text, cell.name) for cell in paint_unit(trace, 0, 0)] == [("a", "p4"), ("b", "n4"), ("c", "p1")]
    turned = paint_unit(trace, 0, 0, Span(1.0, 0.0, -1.0))
    assert [cell.name for cell in turned] == ["n4", "p4", "n1"]
    assert [cell.name for cell in paint_unit(trace, 0, 0, Span(-1.0, 1.0, 2.0))] == ["z", "n4", "n2"]
    without_end = trace_of("abc", states=[0.0, 1.0, -1.0])
    assert [cell.text for cell in paint_unit(without_end, 0, 0)] == ["a", "b"]


def test_long_texts_are_cut():
    painted = paint_bits(trace_of("a" * (PAINTED + 50)))
    assert len(painted) == PAINTED + 1
    assert painted[-1].text == "…"
    assert clusters(trace_of("").tokens) == []


def test_what_cannot_be_seen_has_a_name():
    shown = [visible(token) for token in (" ", "\n", END, "\u200b", "\u0301", "the ", "a", "\ud800")]
    assert shown == ["␣", "⏎", "end", "U+200B", "◌\u0301", "the␣", "a", "U+D800"]
