"""Passages: evenly spaced texts within bounds, and running text cut into pieces that are all of it."""

from __future__ import annotations

from flaxchar import Config, Example
from flaxchar.data.examples import Examples
from flaxchar.insight.passages import PASSAGE, choose_passages, halves


def test_few_texts_are_all_taken_and_many_are_spaced_evenly():
    few = Examples.of([Example(f"text {k}", "x") for k in range(9)])
    assert choose_passages(Config(), few) == list(few)
    many = choose_passages(Config(), Examples.of([f"{k:08}" for k in range(20_000)]))
    numbers = [int(example.text) for example in many]
    assert sum(len(example.text) for example in many) <= 40_000
    assert numbers == sorted(numbers)
    assert numbers[-1] > 19_000


def test_a_large_network_gets_fewer_characters():
    texts = Examples.of(["a" * 40] * 2000)
    small, large = (choose_passages(Config().replace(hidden=hidden), texts) for hidden in (128, 4096))
    assert len(large) < len(small) / 5


def test_running_text_is_cut_into_passages():
    text = "".join(f"line {k}\n" for k in range(300))
    pieces = [example.text for example in choose_passages(Config().replace(window=64), Examples.of([text]))]
    assert "".join(pieces) == text
    assert {len(piece) for piece in pieces[:-1]} == {PASSAGE}


def test_halves_share_nothing():
    one, other = halves(7)
    assert sorted(one + other) == list(range(7))
