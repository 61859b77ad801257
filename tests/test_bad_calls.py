"""Bad calls of the library: each raises the documented exception, whose one sentence names the argument."""

from __future__ import annotations

import pytest
from bad_calls import method_calls, training_calls
from helpers import PALINDROMES, untrained_model


@pytest.fixture(scope="module")
def lm():
    return untrained_model(PALINDROMES)


@pytest.mark.parametrize(("calls", "least"), [(method_calls, 300), (training_calls, 400)])
def test_every_argument_refuses_what_it_cannot_be(lm, calls, least, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures, count = [], 0
    for case in calls():
        try:
            case.call(lm)
            told = "accepted"
        except case.error as error:
            told = str(error)
        except Exception as error:
            told = f"{type(error).__name__}, which is not documented"
        if case.told not in told or "\n" in told or len(told) > 500 or told == "accepted":
            failures.append((case.name, told[:200]))
        count += 1
        assert list(tmp_path.iterdir()) == [], case.name
    assert not failures
    assert count > least


def test_a_stream_complains_at_once(lm):
    with pytest.raises(ValueError, match="`temperature` is -1"):
        lm.stream(temperature=-1)
