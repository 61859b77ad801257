"""``docs/tutorial.ipynb`` holds what it printed and drew, names what exists, and runs."""

from __future__ import annotations

import ast
import json

import pytest
from helpers import ROOT

import flaxchar

PATH = ROOT / "docs" / "tutorial.ipynb"
CELLS = json.loads(PATH.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def outputs(cell):
    return "".join("".join(output.get("text", ())) for output in cell["outputs"])


def test_what_the_cells_printed_and_drew_is_stored():
    assert PATH.stat().st_size < 1_000_000
    for cell in CODE:
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert kinds <= {"stream", "display_data"}, source(cell)  # no error
        assert {output.get("name", "stdout") for output in cell["outputs"]} <= {"stdout"}  # no warning
        assert ("display_data" in kinds) == ("plt.show()" in source(cell)), source(cell)
        assert ("stream" in kinds) == ("print(" in source(cell)), source(cell)
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))


def test_no_output_tells_where_it_was_made():
    text = PATH.read_text(encoding="utf-8")
    assert "/tmp" not in text
    assert "/home" not in text


def test_the_public_names_that_it_uses_exist():
    used = set()
    for cell in CODE:
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "flaxchar":
                used.add(node.attr)
    assert used
    assert used <= set(dir(flaxchar))


def test_its_links_lead_to_its_headings():
    headings = {
        line.lstrip("# ").replace(" ", "-")
        for cell in CELLS
        if cell["cell_type"] == "markdown"
        for line in source(cell).splitlines()
        if line.startswith("#")
    }
    links = [part.split(")")[0] for cell in CELLS for part in source(cell).split("](#")[1:]]
    assert len(links) > 5
    assert set(links) <= headings


@pytest.mark.slow
def test_it_runs():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(PATH, as_version=4)
    resources = {"metadata": {"path": str(PATH.parent)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    by_code = {source(cell): outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}
    best, floor = (
        float(line.split()[n])
        for text in by_code.values()
        for line in text.splitlines()
        for start, n in (("700 steps", 3), ("the best possible", 3))
        if line.startswith(start)
    )
    assert floor < best < floor + 0.1  # bits per character: what the text says of the figures is still true
