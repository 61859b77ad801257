"""The lock file has a version of each dependency that the declared range allows."""

from __future__ import annotations

import tomllib

import pytest
from helpers import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("test", "export", "interactive", "serve", "tensorboard")
REQUIREMENTS = [
    declared
    for group in (PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in EXTRAS))
    for declared in group
    if not declared.startswith("flaxchar[")  # the other extras, of which the tests need these
]
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.lstrip().startswith("#")]


@pytest.mark.parametrize("declared", REQUIREMENTS)
def test_each_dependency_is_locked_in_its_range(declared):
    requirement = Requirement(declared)
    locked = [Requirement(line) for line in LINES]
    mine = [each for each in locked if canonicalize_name(each.name) == canonicalize_name(requirement.name)]
    assert mine, "write the lock file anew: nox -s lock"
    for each in mine:
        ((version,),) = [[spec.version for spec in each.specifier]]
        assert version in requirement.specifier, "write the lock file anew: nox -s lock"


def test_the_lock_names_no_place_to_install_from():
    assert all("//" not in line and not line.startswith("-") for line in LINES)
