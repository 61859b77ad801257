"""The type checker that checks annotations while the tests run (see conftest.py)."""

from __future__ import annotations

import beartype
import numpy as np

# NumPy's scalars count as Python's numbers, and an int counts as a float, as for the functions that they are given to.
_NUMBERS = {int: int | np.integer, float: float | int | np.floating | np.integer, bool: bool | np.bool_}
checked = beartype.beartype(conf=beartype.BeartypeConf(hint_overrides=beartype.FrozenDict(_NUMBERS)))
