"""Arguments: what does not fit is named, NumPy's numbers fit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from flaxchar import InputError
from flaxchar.generation.arguments import check, check_path


def test_what_fits_passes():
    check("size", 3, int, least=1)
    check("size", np.int64(3), int, least=1)
    check("rate", np.float32(0.5), float, above=0)
    check("rate", 1, float)
    check("unknown", "drop", Literal["error", "drop"])
    check_path("path", "runs")
    check_path("path", Path("runs"))


@pytest.mark.parametrize(
    ("arguments", "limits", "message"),
    [
        (("size", "x", int), {"least": 1}, "`size` is 'x'; it must be a whole number, at least 1"),
        (("size", 1.5, int), {}, "`size` is 1.5; it must be a whole number"),
        (("size", True, int), {}, "`size` is True; it must be a whole number"),
        (("size", 0, int), {"least": 1}, "`size` is 0"),
        (("prompt", None, str), {}, "`prompt` is None; it must be a string"),
        (("adapt", 1, bool), {}, "`adapt` is 1; it must be True or False"),
        (("unknown", "x", Literal["error", "drop"]), {}, "`unknown` is 'x'; it must be one of error, drop"),
    ],
)
def test_what_does_not_fit_is_named(arguments, limits, message):
    with pytest.raises(InputError, match=message):
        check(*arguments, **limits)


def test_a_path_is_a_string_or_a_path():
    with pytest.raises(InputError, match="`workdir` is 3; it must be a path"):
        check_path("workdir", 3)
