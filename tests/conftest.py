"""Fixtures of all tests, and the settings JAX runs them with."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest
from helpers import CACHE, ROOT

AG_NEWS = ROOT.parent / "shared" / "data" / "ag_news" / "test.csv"

jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
# What runs here is small, and most of its time is compilation. Commands, in their own processes, are as shipped.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def ag_news() -> Path:
    """The path of the AG News test file, which lies beside some checkouts."""
    if not AG_NEWS.exists():
        pytest.skip(f"needs the AG News test file at {AG_NEWS}")
    return AG_NEWS
