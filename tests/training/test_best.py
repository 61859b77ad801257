"""The best result of a run, and its patience."""

from __future__ import annotations

import math

from flaxchar.training.best import Best


def test_the_best_is_the_first_of_the_lowest_results():
    best = Best()
    assert [best.add(bits) for bits in (3.0, 2.0, 2.5, 2.0, 1.5)] == [True, True, False, False, True]
    assert best.results == [3.0, 2.0, 2.5, 2.0, 1.5]


def test_a_result_that_is_no_number_is_never_better():
    best = Best()
    best.add(3.0)
    assert not best.add(math.nan)
    assert best.add(2.0)


def test_patience_runs_out_after_so_many_results_without_a_new_best():
    best, patient = Best(patience=2), Best()
    seen = []
    for bits in (3.0, 2.0, 2.5, 1.9, 2.2, 2.1):
        best.add(bits)
        patient.add(bits)
        seen.append(best.out_of_patience)
    assert seen == [False, False, False, False, False, True]
    assert not patient.out_of_patience
    assert not Best(patience=1).out_of_patience


def test_an_interrupted_run_goes_on_with_its_results():
    best = Best(patience=2)
    best.restore([3.0, 2.0, 2.5], 2.0, {"w": 1})
    assert best.params == {"w": 1}
    assert not best.out_of_patience
    assert not best.add(2.1)
    assert best.out_of_patience


def test_the_best_is_never_a_result_that_is_not_finite_even_the_first():
    best = Best(patience=2)
    assert [best.add(bits) for bits in (math.nan, math.inf)] == [False, False]
    assert best.bits_per_character is None
    assert not best.out_of_patience
    assert not best.add(math.nan)
    assert best.out_of_patience
    assert best.add(7.0)
    assert not best.out_of_patience
