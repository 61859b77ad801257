"""The layout of the package: imports go one way, every module has its tests, and the map in docs/design.md names it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers import ROOT

PACKAGE = ROOT / "flaxchar"
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
# The order of the map: "validation, settings, … → data → … → commands".
ORDER = re.findall(r"\w+", re.search(r"```\n(validation.*?)```", DESIGN, re.S)[1])
MODULES = sorted(
    path.relative_to(PACKAGE)
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py") and "__pycache__" not in path.parts
)


def room(module: str) -> str:
    """The part of the map that a module belongs to: ``flaxchar.data.files`` → ``data``."""
    return module.split(".")[1]


def imports(path: Path):
    """The modules of flaxchar that a file imports at run time, also within functions."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    for_types = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("flaxchar."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("flaxchar."))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_what_comes_before_it(path):
    own = ORDER.index(path.parts[0].removesuffix(".py"))
    later = [name for name in imports(path) if ORDER.index(room(name)) > own]
    assert not later


def test_no_imports_go_round_in_a_circle():
    graph = {"flaxchar." + ".".join(path.with_suffix("").parts): set(imports(path)) for path in MODULES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join([*way, module])
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_has_a_test_file_and_a_place_on_the_map(path):
    assert (ROOT / "tests" / path.parent / f"test_{path.name}").exists()
    assert path.name in DESIGN
