"""The native kernel's build: which sources it is made of, how it is compiled, and what is said where it cannot be."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import helpers
import numpy as np
import pytest
from helpers import python

from flaxchar.kernels import build
from flaxchar.storage import cache_folder

STATUS = "from flaxchar.kernels import build; print(build.status())"


def fake_compiler(folder, program):
    """A C++ compiler in a folder of its own, written in Python: ``output`` is the file it is to write."""
    folder.mkdir()
    compiler = folder / "c++"
    start = "import pathlib, shutil, sys, time; output = sys.argv[sys.argv.index('-o') + 1]\n"
    compiler.write_text(f"#!{sys.executable}\n{start}{program}\n")
    compiler.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [({"FLAXCHAR_NATIVE": "0"}, "FLAXCHAR_NATIVE=0"), ({"PATH": ""}, "there is no C++ compiler")],
)
def test_without_the_native_kernel_the_scan_runs_and_the_status_says_why(variables, reason):
    program = (
        "import jax.numpy as j; from flaxchar.models.lstm import lstm\n"
        "z = (j.zeros((1, 2)),) * 2\n"
        "print(float(lstm(j.zeros((1, 1), int), j.ones((1, 8)), j.zeros(8), j.ones((2, 8)), z)[0][0, 0, 0]))\n" + STATUS
    )
    value, status = python(program, JAX_PLATFORMS="cpu", **variables).splitlines()
    gate = 1 / (1 + np.exp(-1))
    assert abs(float(value) - gate * np.tanh(gate * np.tanh(1))) < 1e-6
    assert status.startswith("JAX (")
    assert reason in status


@pytest.mark.parametrize(
    ("variables", "waits"),
    [({}, True), ({"FLAXCHAR_NATIVE": "0"}, False), pytest.param({"PATH": ""}, False, marks=pytest.mark.slow)],
)
def test_a_command_waits_for_each_program_where_the_kernel_runs_and_nowhere_else(variables, waits, request):
    if waits:
        request.getfixturevalue("native")
    program = (
        "from flaxchar.commands.process import prepare; prepare()\n"
        "import jax, jax.numpy as j; x = j.ones((1500, 1500)); f = jax.jit(lambda x: x @ x @ x @ x)\n"
        "f(x).block_until_ready(); print(f(x).is_ready())"
    )
    assert python(program, **variables).strip() == str(waits)


def test_a_compiler_that_fails_is_named_and_leaves_nothing(tmp_path):
    program = "print('forward.cpp:1: error: no such header', file=sys.stderr); sys.exit(1)"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    path = fake_compiler(tmp_path / "bin", program)
    folders = {"PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(temporary)}
    status = python(STATUS, JAX_PLATFORMS="cpu", **folders)
    assert status.startswith("JAX (c++ cannot compile")
    assert "error: no such header" in status
    assert not list(tmp_path.rglob("*.so"))
    assert not list(temporary.iterdir())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("writable", [True, False])
def test_the_sources_are_compiled_at_the_same_time_and_the_library_is_kept_where_that_can_be(tmp_path, writable):
    """Each of the two compilers waits for the other; the linker hands out the library of this session."""
    library = build._library_path(shutil.which("c++"))
    both_running = (
        f"marks = pathlib.Path({str(tmp_path / 'marks')!r})\n"
        f"if '-shared' in sys.argv: shutil.copy({str(library)!r}, output); sys.exit()\n"
        "(marks / pathlib.Path(output).name).touch(); until = time.time() + 20\n"
        "while len(list(marks.iterdir())) < 2: assert time.time() < until, 'error: alone'; time.sleep(0.01)\n"
    )
    for name in ("marks", "temporary"):
        (tmp_path / name).mkdir()
    cache = tmp_path / "cache"
    if not writable:
        cache.write_text("a file, so no folder can be made here")
    path = fake_compiler(tmp_path / "bin", both_running)
    status = python(STATUS, PATH=path, XDG_CACHE_HOME=str(cache), TMPDIR=str(tmp_path / "temporary"))
    assert status.startswith("native, ")
    assert len(list(cache.rglob("*.so"))) == writable
    assert not list((tmp_path / "temporary").iterdir())


def test_the_library_is_another_one_where_any_source_differs(tmp_path, monkeypatch):
    copy = tmp_path / "src"
    shutil.copytree(build._FOLDER, copy)
    monkeypatch.setattr(build, "_FOLDER", copy)
    original = build._library_path("c++")
    assert original.parent == cache_folder("native")
    assert {path.suffix for path in copy.iterdir()} == {".h", ".cpp"}
    assert set(build._SOURCES) == {path.name for path in copy.glob("*.cpp")}
    for path in copy.iterdir():
        content = path.read_text()
        path.write_text(content + "\n")
        assert build._library_path("c++") != original, path.name
        path.write_text(content)
    assert build._library_path("c++") == original
    assert build._library_path("clang++") != original


FOREIGN = "a library of another program"


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    "damage",
    ["one bit", FOREIGN, "no hash", *(pytest.param(d, marks=pytest.mark.slow) for d in ("short", "empty", "random"))],
)
def test_a_damaged_library_is_never_loaded_and_is_built_anew(tmp_path, damage):
    """A library that was cut short once ended every command with a bus error."""
    good = build._library_path(shutil.which("c++"))
    content = good.read_bytes()
    path = tmp_path / "cache" / "flaxchar" / "native" / good.name
    path.parent.mkdir(parents=True)
    half = len(content) // 2
    path.write_bytes(
        {
            "short": content[:half],
            "empty": b"",
            "random": bytes(range(256)) * 100,
            "one bit": content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :],
            FOREIGN: Path(sys.executable).read_bytes(),
        }.get(damage, content)
    )
    if damage != "no hash":
        build._digest_path(path).write_text(build._digest(content))
    (tmp_path / "bin").mkdir()
    compiler = tmp_path / "bin" / "c++"  # hands out the library of this session instead of compiling for a minute
    compiler.write_text(
        f"#!{sys.executable}\nimport shutil, sys\noutput = sys.argv[sys.argv.index('-o') + 1]\n"
        f"shutil.copy({str(good)!r}, output) if '-shared' in sys.argv else open(output, 'w').close()\n"
    )
    compiler.chmod(0o755)
    program = f"import shutil; from flaxchar.kernels import build; build._compiler = lambda: {str(compiler)!r}\n"
    program += f"build._library_path = lambda _: __import__('pathlib').Path({str(path)!r})\n" + STATUS
    assert python(program, XDG_CACHE_HOME=str(tmp_path / "cache")).startswith("native, ")
    assert path.read_bytes() == content
    assert build._digest_path(path).read_text() == build._digest(content)


@pytest.mark.usefixtures("native")
def test_the_kernel_of_the_tests_commands_is_written_once():
    """Copying over a library crashes the programs that have loaded it; the other processes of the tests run some."""
    helpers.environment()
    folder = Path(helpers.CACHE) / "flaxchar" / "native"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    helpers._hand_on_kernel.cache_clear()  # as in another process
    helpers.environment()
    assert before
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
