"""Fixtures of the tests of generation."""

from __future__ import annotations

import pytest

from flaxchar.kernels import build


@pytest.fixture(scope="module")
def jax_loop():
    """JAX's decode loop, which all texts of a module then share: they differ in no rounding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "available", lambda: False)
        yield
