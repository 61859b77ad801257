"""Programs: jitted functions that the next command need not trace anew.

JAX keeps what XLA compiles, but before it can look that up Python has to trace the function, which for a small model
takes longer than everything after it. Here what was traced is kept as well: the program ``jax.export`` makes of it, in
a file named by all that tracing depends on. What is compiled is that program in either case, traced now or before, so
that both compute the same to the bit.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
from jax import export

from flaxchar import native

_DIGEST = hashlib.sha256().digest_size
# What programs are written in.
_LIBRARIES = ("jax", "jaxlib", "flax", "optax")


class Program:
    """A function as ``jax.jit`` makes it, exported before it is compiled where there is one CPU to run it on.

    Its static arguments must say all they mean in their ``repr``.

    Attributes:
      kept_in: the folder of what was traced; None, as for whoever only imports flaxchar, to keep nothing.
    """

    kept_in: ClassVar[Path | None] = None

    def __init__(self, function: Callable, static: Sequence[str] = (), donate: Sequence[str] = ()) -> None:
        """Args: ``function``, the names of its static arguments, and of those whose buffers it may reuse."""
        functools.update_wrapper(self, function)
        self._function, self._signature = function, inspect.signature(function)
        self._static, self._donate = tuple(static), tuple(donate)
        self._jitted = jax.jit(function, static_argnames=self._static, donate_argnames=self._donate)
        self._compiled: dict[tuple, Callable] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """The function's value; compiled when it is first called with these shapes and static arguments."""
        static, given = self._divide(arguments, keywords)
        leaves, tree = jax.tree.flatten(tuple(given.values()))
        if not _exportable(leaves):
            return self._jitted(*arguments, **keywords)
        key = (*static.items(), tree, *map(_aval, leaves), *_devices(leaves), jax.sharding.get_abstract_mesh())
        if key not in self._compiled:
            self._compiled[key] = self.lower(*arguments, **keywords).compile()
        return self._compiled[key](*given.values())

    def lower(self, *arguments: Any, **keywords: Any) -> jax.stages.Lowered:
        """The function for these arguments, or for ``jax.ShapeDtypeStruct`` in their place, ready to be compiled."""
        static, given = self._divide(arguments, keywords)
        leaves, tree = jax.tree.flatten(tuple(given.values()))
        if not _exportable(leaves):
            return self._jitted.lower(*arguments, **keywords)
        exported = self._exported(static, tuple(given), leaves, tree)

        def call(*given: Any) -> Any:
            return jax.tree.unflatten(exported.structure, exported.program.call(*map(_data, jax.tree.leaves(given))))

        call.__name__ = self._function.__name__
        donated = [number for number, name in enumerate(given) if name in self._donate]
        return jax.jit(call, donate_argnums=donated).lower(*given.values())

    def _divide(self, arguments: tuple, keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Static arguments and the others, by name, in the function's order."""
        bound = self._signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        static = {name: bound.arguments.pop(name) for name in self._static}
        return static, dict(bound.arguments)

    def _exported(self, static: dict[str, Any], names: Sequence[str], leaves: list, tree: Any) -> _Exported:
        """What tracing makes of the function: traced before, or now."""
        path = self._path(static, leaves, tree)
        if path is None:
            return self._export(static, names, leaves, tree)
        found = _read(path)
        if found is None:
            found = self._export(static, names, leaves, tree)
            _write(path, found)
        return found

    def _path(self, static: dict[str, Any], leaves: list, tree: Any) -> Path | None:
        """Where the traced program is kept: a name for all that it depends on; None where it cannot be told."""
        if self.kept_in is None:
            return None
        of_function = self._function.__module__, self._function.__qualname__, static, tree, [*map(_aval, leaves)]
        # How arrays are shared is part of the context, as is what JAX has been told.
        context = _versions(), native.status(), jax.sharding.get_abstract_mesh(), sorted(jax.config.values.items())
        described = repr((of_function, context))
        if " at 0x" in described:  # an address means something else in every process
            return None
        return self.kept_in / f"{self._function.__name__}-{hashlib.sha256(described.encode()).hexdigest()[:32]}"

    def _export(self, static: dict[str, Any], names: Sequence[str], leaves: list, tree: Any) -> _Exported:
        structure = None
        implementations = [jax.random.key_impl(leaf) if _is_key(leaf) else None for leaf in leaves]

        def flat(*data: Any) -> list:
            nonlocal structure
            leaves = [
                array if implementation is None else jax.random.wrap_key_data(array, impl=implementation)
                for array, implementation in zip(data, implementations, strict=True)
            ]
            given = zip(names, jax.tree.unflatten(tree, leaves), strict=True)
            results, structure = jax.tree.flatten(self._function(**static, **dict(given)))
            return results

        shapes = [jax.eval_shape(_data, leaf) for leaf in leaves]
        own = [export.DisabledSafetyCheck.custom_call(name) for name in native.handlers()]
        return _Exported(export.export(jax.jit(flat), disabled_checks=own)(*shapes), structure)


class _Exported(NamedTuple):
    """A program from arrays to arrays, and the structure of which these are the leaves."""

    program: export.Exported
    structure: Any


def _exportable(leaves: list) -> bool:
    """Whether these arguments are for one CPU, and not themselves being traced."""
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    return not traced and jax.default_backend() == "cpu" and len(_devices(leaves)) <= 1


def _devices(leaves: list) -> set[jax.Device]:
    shardings = [getattr(leaf, "sharding", None) for leaf in leaves]
    return set().union(*(sharding.device_set for sharding in shardings if sharding is not None))


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _data(leaf: Any) -> Any:
    """An array as programs are exported for: of a random key its numbers."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _aval(leaf: Any) -> tuple:
    return leaf.shape, str(leaf.dtype)


@functools.cache
def _versions() -> str:
    """This code, and the libraries it is written in."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    return repr((sources.hexdigest(), [importlib.import_module(name).__version__ for name in _LIBRARIES]))


def _read(path: Path) -> _Exported | None:
    """What ``_write`` wrote, whole, or None."""
    try:
        written = path.read_bytes()
    except OSError:
        return None
    digest, content = written[:_DIGEST], written[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    program, structure = pickle.loads(content)
    return _Exported(export.deserialize(program), structure)


def _write(path: Path, exported: _Exported) -> None:
    """Put a program in its file, whole, where that can be done: without it the next command traces again."""
    content = pickle.dumps((exported.program.serialize(), exported.structure))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            beside = Path(folder) / path.name
            beside.write_bytes(hashlib.sha256(content).digest() + content)
            beside.replace(path)
    except OSError:
        return
