"""Fixtures of all tests, the settings JAX runs them with, and the shape checks."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest

# Each training would start a process that draws; the tests of the curves turn them on.
os.environ["FLAXCHAR_CURVES"] = "0"

# The shapes and dtypes in the annotations of these modules are checked at every call while the tests run. The hook acts
# on what is imported after it.
jaxtyping.install_import_hook(
    ["flaxchar.data.batches", "flaxchar.kernels", "flaxchar.models", "flaxchar.generation.sampling"],
    "shape_checks.checked",
)

import helpers  # noqa: E402
import hypothesis  # noqa: E402
import jax  # noqa: E402
from helpers import CACHE, QUICK_COMPILER, ROOT  # noqa: E402

from flaxchar.hardware import Hardware, described_as  # noqa: E402

# A slow or busy machine breaks no test: what takes how long is measured in benchmarks/.
hypothesis.settings.register_profile("flaxchar", deadline=None)
hypothesis.settings.load_profile("flaxchar")

AG_NEWS = ROOT.parent / "shared" / "data" / "ag_news" / "test.csv"

jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
# What runs here is small, and most of its time is compilation. Commands, in their own processes, are as shipped.
jax.config.update("jax_disable_most_optimizations", True)
if QUICK_COMPILER not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILER}".strip()
if jax.default_backend() == "gpu":
    # The tests' tolerances are float32's. A GPU's default is TF32, which keeps 10 of 23 bits of each factor; tests
    # marked gpu judge that. Commands, in their own processes, are as shipped.
    jax.config.update("jax_default_matmul_precision", "float32")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: archives hold the time, so that the same test would differ between processes."""
    return argname if isinstance(val, bytes) else None


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


# Programs that JAX keeps may take this many bytes before they are dropped; each process of the tests has its own.
_MOST_PROGRAMS = 1 << 30
_bytes_before = 0


@pytest.fixture(autouse=True, scope="module")
def _drop_programs() -> Iterator[None]:
    """Drop JAX's compiled programs after a module if they fill the memory; those of all tests would take 4 GB."""
    global _bytes_before  # noqa: PLW0603
    yield
    if helpers.resident_bytes() - _bytes_before > _MOST_PROGRAMS:
        jax.clear_caches()
        gc.collect()
        _bytes_before = helpers.resident_bytes()


@pytest.fixture(autouse=True)
def _only_with_a_gpu(request: pytest.FixtureRequest) -> None:
    """Skip tests marked ``gpu`` where there is none."""
    if request.node.get_closest_marker("gpu") and jax.default_backend() != "gpu":
        pytest.skip(f"needs a GPU; JAX computes on {jax.default_backend()}")


@pytest.fixture
def as_on_a_cpu() -> Iterator[None]:
    """Choices as for a CPU: for tests of when something happens, which depends on the hardware."""
    with described_as(Hardware()):
        yield


@pytest.fixture(scope="module")
def user_settings() -> Iterator[None]:
    """JAX compiles with all optimisations. For tests of equality to the bit."""
    jax.clear_caches()  # what was compiled without them is not used again
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
