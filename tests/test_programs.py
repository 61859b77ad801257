"""Programs: what was traced once is not traced again, and computes the same to the bit."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import run_command

import flaxchar
from flaxchar import native, programs
from flaxchar.programs import Program
from flaxchar.threefry import new_key


class Pair(NamedTuple):
    first: jax.Array
    second: tuple


@pytest.fixture
def kept_in(tmp_path, monkeypatch):
    """The folder in which programs are kept, for the time of a test."""
    monkeypatch.setattr(Program, "kept_in", tmp_path / "programs")
    return tmp_path / "programs"


def program():
    """A program as a new process has it, and a list that grows by one whenever it is traced."""
    traced = []

    def noisy(name: str, values: jax.Array, key: jax.Array, factor: jax.Array | None = None) -> Pair:
        traced.append(name)
        noise = jax.random.normal(key, values.shape)
        return Pair(jnp.tanh(values + noise) * (1 if factor is None else factor), (values.sum(),))

    return Program(noisy, static=["name"]), traced


VALUES = np.linspace(-1, 1, 7, dtype=np.float32)


def test_what_was_traced_is_not_traced_again_and_computes_the_same(kept_in):
    first, traced = program()
    expected = first("a", VALUES, new_key(3))
    assert traced == ["a"]
    again, traced = program()
    result = again("a", VALUES, new_key(3))
    assert traced == []
    assert isinstance(result, Pair)
    np.testing.assert_array_equal(result.first, expected.first)
    np.testing.assert_array_equal(result.second[0], expected.second[0])
    # and that is what JAX makes of the same function, but for the order in which a compiler adds
    own = jnp.tanh(VALUES + jax.random.normal(jax.random.key(3), VALUES.shape))
    np.testing.assert_allclose(result.first, own, rtol=1e-6)


def test_another_key_needs_no_other_program(kept_in):
    first, traced = program()
    results = [first("a", VALUES, new_key(seed)).first for seed in (1, 2)]
    assert len(traced) == 1
    assert not np.array_equal(*results)


@pytest.mark.parametrize(
    "other",
    [
        ("b", VALUES, new_key(3)),
        ("a", VALUES[:5], new_key(3)),
        ("a", VALUES.astype(jnp.bfloat16), new_key(3)),
        ("a", VALUES, jax.random.key(3)),
        ("a", VALUES, new_key(3), np.float32(2)),
    ],
    ids=["static argument", "shape", "dtype", "kind of key", "structure"],
)
def test_what_differs_is_traced_by_itself(kept_in, other):
    program()[0]("a", VALUES, new_key(3))
    again, traced = program()
    result = again(*other)
    assert len(traced) == 1
    assert result.first.shape == other[1].shape
    assert len(list(kept_in.iterdir())) == 2


@pytest.mark.parametrize("what", ["code", "recurrence", "setting of JAX"])
def test_what_was_traced_in_other_surroundings_is_left_alone(kept_in, monkeypatch, what):
    program()[0]("a", VALUES, new_key(3))
    if what == "code":
        monkeypatch.setattr(programs, "_versions", lambda: "another version")
    elif what == "recurrence":
        monkeypatch.setattr(native, "status", lambda: "another number of threads")
    else:
        jax.config.update("jax_default_matmul_precision", "highest")
    again, traced = program()
    try:
        again("a", VALUES, new_key(3))
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    assert len(traced) == 1


def test_a_change_of_the_code_is_noticed(monkeypatch, tmp_path):
    before = programs._versions.__wrapped__()
    (tmp_path / "programs.py").write_text("# changed")
    monkeypatch.setattr(programs, "__file__", str(tmp_path / "programs.py"))
    assert programs._versions.__wrapped__() != before


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:50] + b"x" + data[51:], lambda data: b""]
)
def test_a_damaged_file_is_replaced(kept_in, damage):
    expected = program()[0]("a", VALUES, new_key(3)).first
    (path,) = kept_in.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again, traced = program()
    np.testing.assert_array_equal(again("a", VALUES, new_key(3)).first, expected)
    assert len(traced) == 1
    assert program()[0]("a", VALUES, new_key(3)).first.shape == VALUES.shape
    assert programs._read(path) is not None
    assert [entry.name for entry in kept_in.iterdir()] == [path.name]


def test_where_nothing_can_be_written_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "programs").write_text("a file, no folder")
    monkeypatch.setattr(Program, "kept_in", tmp_path / "programs")
    for _ in range(2):
        function, traced = program()
        function("a", VALUES, new_key(3))
        assert len(traced) == 1


def test_what_only_this_process_can_name_is_not_kept(kept_in):
    apply = Program(lambda function, values: function(values), static=["function"])
    np.testing.assert_array_equal(apply(lambda values: -values, VALUES), -VALUES)
    assert not kept_in.exists()


def test_nothing_is_kept_by_a_process_that_only_imports_flaxchar():
    assert Program.kept_in is None


def test_buffers_that_may_be_reused_are(kept_in):
    for _ in range(2):  # as traced, and as read
        value = jnp.arange(5.0)
        add = Program(lambda state, other: state + other, donate=["state"])
        kept = jnp.ones(5)
        np.testing.assert_array_equal(add(value, kept), [1, 2, 3, 4, 5])
        assert value.is_deleted()
        assert not kept.is_deleted()


def test_inside_another_compiled_function_a_program_is_part_of_it(kept_in):
    function, _ = program()
    outer = jax.jit(functools.partial(function, "a"))
    np.testing.assert_allclose(outer(VALUES, new_key(3)).first, function("a", VALUES, new_key(3)).first, rtol=1e-6)


def test_a_second_run_traces_nothing_and_gets_the_same_weights(tmp_path):
    data = tmp_path / "texts.txt"
    data.write_text("".join(f"{word} {word[::-1]}\n" for word in ("level", "stone", "birch", "tiger", "lemon")) * 8)
    flags = ("--hidden", "8", "--embedding", "4", "--steps", "6", "--data", str(data), "--val-data", str(data))
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    seen = []
    for name in ("first", "second"):
        result = run_command("train.py", *flags, "--workdir", str(tmp_path / name), **cache)
        assert result.returncode == 0, result.stderr
        seen.append({path.name: path.stat().st_mtime_ns for path in (tmp_path / "flaxchar" / "programs").iterdir()})
    assert {name.split("-")[0] for name in seen[0]} == {
        "init_state",
        "batch_gradients",
        "apply_gradients",
        "score_batch",
    }
    assert seen[0] == seen[1]
    first, second = (flaxchar.load(str(tmp_path / name)).params for name in ("first", "second"))
    jax.tree.map(np.testing.assert_array_equal, first, second)
