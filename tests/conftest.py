"""Fixtures of all tests, the settings JAX runs them with, and the shape checks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest

# The shapes and dtypes in the annotations of these modules are checked at every call while the tests run. The hook acts
# on what is imported after it.
jaxtyping.install_import_hook(
    ["flaxchar.data.batches", "flaxchar.kernels", "flaxchar.models", "flaxchar.generation.sampling"],
    "shape_checks.checked",
)

import helpers  # noqa: E402
import jax  # noqa: E402
from helpers import CACHE, QUICK_COMPILER, ROOT  # noqa: E402

AG_NEWS = ROOT.parent / "shared" / "data" / "ag_news" / "test.csv"

jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
# What runs here is small, and most of its time is compilation. Commands, in their own processes, are as shipped.
jax.config.update("jax_disable_most_optimizations", True)
if QUICK_COMPILER not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILER}".strip()


@pytest.fixture
def ag_news() -> Path:
    """The path of the AG News test file, which lies beside some checkouts."""
    if not AG_NEWS.exists():
        pytest.skip(f"needs the AG News test file at {AG_NEWS}")
    return AG_NEWS


@pytest.fixture(scope="session")
def run_here() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in this process; see ``helpers.run_here``."""
    return helpers.run_here


@pytest.fixture
def native() -> None:
    """Skip where there is no native kernel."""
    from flaxchar.kernels import build

    if not build.available():
        pytest.skip(f"the native kernel is not available: {build.status()}")


@pytest.fixture(scope="module")
def user_settings() -> Iterator[None]:
    """JAX compiles with all optimisations. For tests of equality to the bit."""
    jax.clear_caches()  # what was compiled without them is not used again
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
