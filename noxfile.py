"""Checks in other environments: ``pip install nox uv``, then ``nox -s newest-3.13``, ``nox -s lowest`` and others.

What comes after ``--`` goes to pytest: ``nox -s lowest -- -n 0 tests/models``.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["newest", "lowest"]
LOCK = (
    *("uv", "pip", "compile", "pyproject.toml", "--extra", "test", "--python-version", "3.11"),
    *("--no-emit-index-url", "--quiet"),
)
SEEDS = range(1, 6)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def newest(session: nox.Session) -> None:
    """The newest version of each dependency that this Python takes."""
    session.install("--upgrade", "-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The lowest version of each dependency that pyproject.toml allows, JAX 0.8 among them."""
    lock = f"{session.create_tmp()}/lowest.txt"
    session.run(*LOCK, "--resolution", "lowest-direct", "--output-file", lock, external=True)
    session.install("-e", ".[test]", "-c", lock)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def shuffled(session: nox.Session) -> None:
    """The tests in random order, five times."""
    session.install("-e", ".[test]", "-c", "requirements.lock")
    for seed in SEEDS:
        session.run("python", "-m", "pytest", f"--random-order-seed={seed}", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Known advisories about the locked versions."""
    session.install("pip-audit")
    session.run("pip-audit", "--requirement", "requirements.lock", "--no-deps", "--disable-pip")


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements.lock anew, for every Python and platform."""
    session.install("uv")
    command = "# The versions that .ci/run tests: pip install -c requirements.lock -e '.[test]'. Made by: nox -s lock\n"
    session.run(*LOCK, "--universal", "--upgrade", "--no-header", "--output-file", "requirements.lock")
    with open("requirements.lock", encoding="utf-8") as file:
        versions = file.read()
    with open("requirements.lock", "w", encoding="utf-8") as file:
        file.write(command + versions)
