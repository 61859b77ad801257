"""Bad calls of the library: for every argument of every function and method, values that it cannot have."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_origin

import flaxchar
from flaxchar import Config, Example, InputError, LanguageModel
from flaxchar.settings import DataConfig, ModelConfig, TrainingConfig
from flaxchar.validation import describe, types_of

NO_INT: tuple = ("x", None, 1.5, math.nan, math.inf, -1, 10**30, 10**5000, True, b"1", [1], 1j)
NO_FLOAT: tuple = ("x", None, math.nan, math.inf, -math.inf, -1, 10**400, Fraction(10**400), True, b"1", [1], 1j)
NO_TEXT: tuple = (3, 1.5, b"x", ["x"], True, {"x": 1})
NO_PATH: tuple = (None, 3, b"x", ["x"], "", "a\0b", "a" * 300, "a/" * 3000, "\ud800", True)
NO_TEXTS: tuple = (
    *("Anna", b"Anna", None, 3, 1.5, [3], [None], [b"Anna"], [["Anna"]], [("Anna",)], [("a", "b", "c", "d")]),
    *([Example(3)], [Example("a", label=b"x")], [Example("a", source=3)], object()),  # type: ignore[arg-type]
)


class BadCall(NamedTuple):
    """A call, what it is called in a failure, what the complaint names, and the documented exception."""

    call: Callable[[LanguageModel], Any]
    name: str
    told: str
    error: type[Exception] = InputError


def method_calls() -> Iterator[BadCall]:
    """Calls of methods of a model that was trained without labels and sources."""

    def one(method: str, argument: str, value: Any, told: str | None = None, *before: Any) -> BadCall:
        def call(lm: LanguageModel) -> Any:
            result = getattr(lm, method)(*before, **{argument: value})
            return next(result) if method == "stream" else result

        return BadCall(
            call,
            f"{method}({argument}={value!r:.40})" if value != 10**5000 else method,
            argument if told is None else told,
        )

    for method in ("generate", "stream", "likeliest"):
        for argument, values in (
            ("prompt", (None, *NO_TEXT, "Ω", "A" * 400)),
            ("size", (*NO_INT, 0, 10**9)),
            ("unknown", (*NO_TEXT, None, "x", "")),
            ("label", (*NO_TEXT, "x")),
            ("source", (*NO_TEXT, "x")),
            ("forbid", (*NO_TEXT, "".join(map(chr, range(32, 127))))),
            ("regex", (*NO_TEXT, "(", "[Ω]", "a{301}", "(?=a)", r"(a)\1")),
            ("acrostic", (*NO_TEXT, "", "Ω", "A A")),
            ("stop", (*NO_TEXT, "", "Ω")),
            ("blend", ("runs", 0.3, (0.3,), (None, 0.3), [])),
        ):
            for value in values:
                yield one(method, argument, value, "size" if value == "A" * 400 else "Ω" if value == "Ω" else None)
    for method in ("generate", "stream"):
        for argument, values in (
            ("temperature", NO_FLOAT),
            ("top_k", NO_INT),
            ("top_p", (*NO_FLOAT, 0, 1.5)),
            ("min_p", (*NO_FLOAT, 1.5)),
            ("repetition_penalty", (*NO_FLOAT, 0.5, 101)),
            ("seed", (*NO_INT, 2**32)),
        ):
            for value in values:
                yield one(method, argument, value)
    for argument, values in (
        ("text", (None, *NO_TEXT, "Ω")),
        ("label", (*NO_TEXT, "x")),
        ("source", (*NO_TEXT, "x")),
    ):
        for value in values:
            before = () if argument == "text" else ("Anna",)
            yield one("trace", argument, value, "Ω" if value == "Ω" else None, *before)
    for argument, values in (("alternatives", NO_INT), ("unknown", (*NO_TEXT, None, "x", ""))):
        for value in values:
            yield one("trace", argument, value, None, "Anna")
    for value in (*NO_INT, 0, 10**9):
        yield one("generate", "num_samples", value)
        yield one("likeliest", "beams", value)
    for value in NO_INT:
        yield one("stream", "sample", value)
    for value in NO_TEXTS:
        yield one("score", "texts", value)
        yield one("classify", "texts", value)
        yield one("novelty", "texts", value, None, ["a"])
        yield BadCall(lambda lm, value=value: lm.novelty(value, ["a"]), f"novelty({value!r:.40})", "samples")
    for value in ("x", 1, None, "error"):
        yield one("score", "adapt", value, None, ["Anna"])
    for value in (*NO_TEXT, None, "x"):
        yield one("score", "unknown", value, None, ["Anna"])
    yield one("score", "texts", ["Ω"], "Ω")
    for argument in ("labels", "sources"):
        for value in ("Anna", 3, ["x"], ["x", "y"], [b"x", b"y"]):
            yield one("score", argument, value, argument.removesuffix("s"), ["Anna", "Bob"])
    yield one("classify", "texts", ["Anna"], "labels")
    for value in (None, 3, b"Anna", ["Anna"], [3], [Example("a")], []):
        yield one("compress", "content", value, "" if isinstance(value, list) else "content")
    for value in ("flaxchar", None, 3, [1], b"", b"PK", b"flaxchar", b"flaxchar\x01", b"flaxchar\x01" + bytes(30)):
        yield one("decompress", "data", value)
    for value in NO_PATH:
        yield one("save", "path", value)
        yield BadCall(lambda lm, value=value: flaxchar.load(value), f"load({value!r:.40})", "path")
        yield BadCall(lambda lm, value=value: lm.export(value, to="html"), f"export({value!r:.40})", "path")
        yield BadCall(lambda lm, value=value: flaxchar.import_model(value), f"import_model({value!r:.40})", "file")
    for value in (*NO_TEXT, None, "", "pickle"):
        yield BadCall(lambda lm, value=value: lm.export("a", to=value), f"export(to={value!r:.40})", "to")
    yield BadCall(lambda lm: lm.export(Path(__file__), to="html"), "export(a file)", "exists already")
    yield BadCall(lambda lm: lm.export(Path(__file__) / "a", to="html"), "export(in a file)", "no folder")
    yield BadCall(lambda lm: flaxchar.import_model(Path(__file__)), "import_model(a .py)", "another ending")
    for name in ("vocabulary", "bos"):
        for value in (3, b"x", ["x"], 1.5):
            call = functools.partial(flaxchar.import_model, "a.h5", **{name: value})
            yield BadCall(lambda lm, call=call: call(), f"import_model({name}={value!r:.40})", name)
    yield BadCall(lambda lm: flaxchar.load("nothing"), "load('nothing')", "nothing")
    yield BadCall(lambda lm: flaxchar.load(Path(__file__)), "load(a file)", "bad_calls.py")
    yield BadCall(lambda lm: lm.save(Path(__file__)), "save(a file)", "bad_calls.py")
    yield BadCall(lambda lm: lm.save(Path(__file__) / "a"), "save(in a file)", "bad_calls.py")
    yield BadCall(lambda lm: lm.generate(num_samples=10**6, size=10**6), "a million of a million", "num_samples")
    yield BadCall(lambda lm: lm.generate(colour="red"), "generate(colour)", "colour", TypeError)


def bad_settings() -> Iterator[tuple[str, Any]]:
    """For every setting, values that it cannot have."""
    for section in (DataConfig, ModelConfig, TrainingConfig):
        types = types_of(section)
        for field in dataclasses.fields(section):
            kind, optional = types[field.name]
            declared = describe(field)
            values: tuple = (object(), {"a": 1}, b"x")
            if kind is int:
                values += tuple(value for value in NO_INT if not (value == -1 and declared.least is None))
            elif kind is float:
                values += tuple(value for value in NO_FLOAT if value != 10**400 or declared.most is None)
            elif kind is bool:
                values += ("x", 0, None)
            elif kind is str or get_origin(kind) is Literal:
                values += tuple(value for value in NO_TEXT if not isinstance(value, list))
            else:
                values += (3, "x", ["x", 3], (None,), True)
            yield from ((field.name, value) for value in values if not (value is None and optional))


def training_calls() -> Iterator[BadCall]:
    """Calls of ``train``."""
    texts = ["Anna", "Otto", "Hannah", "Bob"]

    def one(told: str, error: type[Exception] = InputError, **arguments: Any) -> BadCall:
        name = ", ".join(f"{key}={value!r:.30}" for key, value in arguments.items() if value != 10**5000)
        given = {"texts": texts, "steps": 1, "hidden": 4} | arguments
        return BadCall(lambda lm: flaxchar.train(**given), f"train({name})", told, error)

    files = {"dataset", "data", "data_dir", "val_data", "fields", "label_field", "source_field", "encoding", "format"}
    files |= {"delimiter", "skip_bad_rows"}
    for name, value in bad_settings():
        if name in ("fields", "val_data") and value == "x":
            continue  # one may be given without a list
        yield one(name, **{name: value}, **({"texts": None, "data": "a.txt"} if name in files - {"data"} else {}))
    for value in (*NO_TEXTS, [], ["", ""], Path("nothing.txt"), [Path("a"), "b"]):
        yield one("", texts=value)
    for value in ("Anna", 3, [3, None], [b"x"] * 4, ["x"], ["x"] * 9):
        yield one("label", labels=value)
        yield one("source", sources=value)
    for value in (3, "Anna", [3], Path("nothing.txt")):
        yield one("held_out", held_out=value)
    for value in NO_PATH[1:]:
        yield one("workdir", workdir=value)
    for value in ("", "bets", 3, b"fast", ["fast"]):
        yield one("preset", preset=value)
    for value in (3, "fast", {}, ModelConfig()):
        yield one("config", config=value)
    for value in (*NO_INT[:1], *NO_INT[2:], 0, 99):
        yield one("devices", devices=value)
    for value in ("x", 1, None):
        yield one("fresh", fresh=value)
    yield one("preset", preset="fast", config=Config())
    yield one("hiden", TypeError, hiden=3)
    yield one("steps", epochs=1)
    yield one("embedding", input_dropout=0.1, embedding=0)
    yield one("recurrent_dropout", recurrent_dropout=0.1, cell="mingru")
    yield one("label", head="classifier")
    yield one("TB", hidden=65_536, layers=1000)
