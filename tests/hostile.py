"""Hostile settings and vocabularies: what somebody may put into the files of a run that they hand on."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Any JSON value in the place of another.
STRANGE: dict[str, Any] = {
    "null": None, "a string": "x", "a long string": "x" * 100_000, "an empty string": "", "true": True, "minus one": -1,
    "zero": 0, "a fraction": 1.5, "10^9": 10**9, "10^30": 10**30, "10^400": 10**400, "-10^30": -(10**30),
    "1e400": float("inf"), "a list": [], "a list of lists": [[["x"]]], "an object": {}, "a half pair": "\ud800",
    "a NUL": "a\0b", "numbers": [1, 2.5, None],
}  # fmt: skip
Change = Callable[[dict], Any]


def put(*path: str | int, value: Any) -> Change:
    """A change of a JSON document: put a value at a place."""

    def change(document: dict) -> None:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


def drop(*path: str) -> Change:
    """A change of a JSON document: leave out a key."""

    def change(document: dict) -> None:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]

    return change


SETTINGS: dict[str, Change] = {
    **{f"no {key}": drop(key) for key in ("format", "config", "texts", "steps")},
    **{
        f"{'.'.join(path)} is {name}": put(*path, value=value)
        for path in (
            *(("config",), ("config", "model"), ("config", "data"), ("config", "training"), ("texts",), ("format",)),
            *(("config", "model", "hidden"), ("config", "model", "layers"), ("config", "model", "cell")),
        )
        for name, value in STRANGE.items()
        if not (value == {} and path[-1] in ("config", "model", "data", "training", "texts"))
        and not (path[-1] == "layers" and value == 1)
    },
    **{
        f"config.{section}.{key} is {name}": put("config", section, key, value=STRANGE[name])
        for section, key, names in (
            ("model", "embedding", ("a string", "minus one", "10^9", "10^30", "null")),
            ("model", "dropout", ("a string", "minus one", "10^400", "1e400", "null")),
            ("model", "dtype", ("a string", "zero", "a list")),
            ("model", "residual", ("a string", "zero", "null")),
            ("model", "head", ("a string", "null")),
            ("data", "bos", ("a string", "zero", "null")),
            ("data", "unit", ("a string", "a list of lists")),
            ("data", "window", ("a string", "10^30", "minus one")),
            ("data", "data", ("a string", "numbers", "zero", "an object")),
            ("data", "normalize", ("a string", "zero")),
            ("data", "max_vocab", ("10^9", "zero")),
            ("training", "seed", ("minus one", "10^30", "a fraction")),
            ("training", "time_budget", ("a string", "zero", "an empty string", "a long string")),
            ("training", "sample_prompts", ("a string", "numbers")),
            ("training", "learning_rate", ("1e400", "10^400", "minus one", "a string")),
        )
        for name in names
    },
    **{
        f"{key} is {name}": put(key, value=STRANGE[name])
        for key, names in (
            ("steps", ("a string", "minus one", "10^30", "a fraction", "true", "null", "a list")),
            ("folder", ("zero", "a list", "a NUL")),
            ("stretches", ("zero", "a string", "a list", "numbers", "an object")),
        )
        for name in names
    },
    "an unknown setting": put("config", "model", "width", value=3),
    "an unknown setting of 100,000 characters": put("config", "model", "x" * 100_000, value=3),
    "an unknown section": put("config", "network", value={}),
    "texts.sha256 is a number": put("texts", value={"sha256": 3}),
    "texts.known is a string": put("texts", value={"sha256": "x", "known": "abc"}),
    "stretches that end elsewhere": put("stretches", value=[{"steps": 7, "time_budget": None}]),
    "stretches that go back": put("stretches", value=[{"steps": k, "time_budget": None} for k in (5, 3, 0)]),
    "a stretch without time": put("stretches", value=[{"steps": 0}]),
    "another cell": put("config", "model", "cell", value="gru"),
    "another size": put("config", "model", "hidden", value=65_536),
    "1,000 layers": put("config", "model", "layers", value=1_000),
    "sizes of many terabytes": lambda record: record["config"]["model"].update(hidden=65_536, layers=1_000),
    "a classifier": put("config", "model", "head", value="classifier"),
    "a model of words": put("config", "data", "unit", value="word"),
}
VOCABULARY: dict[str, Change] = {
    **{f"no {key}": drop(key) for key in ("unit", "has_unknown", "tokens")},
    **{
        f"{key} is {name}": put(key, value=value)
        for key in ("unit", "has_unknown", "tokens", "labels", "label_ids", "source_end", "word_rule", "spelling")
        for name, value in STRANGE.items()
        if not (key == "has_unknown" and value is True)
        and not (key in ("labels", "label_ids") and value == [])
        and not (key == "source_end" and value is None)
    },
    **{
        f"a token is {name}": put("tokens", 1, value=value)
        for name, value in STRANGE.items()
        if name not in ("a string", "a half pair")
    },
    "has_unknown": put("has_unknown", value=True),
    "an unknown key": put("colour", value="red"),
    "a token twice": lambda values: values["tokens"].__setitem__(1, values["tokens"][0]),
    "a token more": lambda values: values["tokens"].append("☃"),
    "a token less": lambda values: values["tokens"].pop(),
    "no tokens": put("tokens", value=[]),
    "labels without ids": put("labels", value=["a", "b"]),
    "ids without labels": put("label_ids", value=[1, 2]),
    "labels beyond the tokens": lambda values: values.update(labels=["a"], label_ids=[10**9]),
    "a label in the place of a token": lambda values: values.update(labels=["a"], label_ids=[1]),
    "a label twice": lambda values: values.update(
        labels=["a", "a"], label_ids=[1, 2], tokens=[None, None, *values["tokens"][2:]]
    ),
    "the end of a source that is a token": put("source_end", value=1),
    "the end of a source in the place of a token": lambda values: values.update(
        source_end=1, tokens=[None, *values["tokens"][1:]]
    ),
    "negative ids": lambda values: values.update(labels=["a"], label_ids=[-1]),
    "spelling without unknown tokens": put("spelling", value={"tokens": ["z"], "counts": [1]}),
    **{
        f"spelling.{key} is {name}": lambda values, key=key, name=name: values.update(
            has_unknown=True, spelling={"tokens": ["z"], "counts": [1]} | {key: STRANGE[name]}
        )
        for key in ("tokens", "counts")
        for name in STRANGE
    },
    "spelling counts of 10^30": lambda values: values.update(
        has_unknown=True, spelling={"tokens": ["z"], "counts": [10**30]}
    ),
}
CONTENTS: dict[str, bytes] = {
    "an empty file": b"",
    "half of an object": b'{"format": 2, "config": {',
    "no JSON": b"PK\x03\x04",
    "no UTF-8": b'{"format": 2, "\xff": 1}',
    "zero bytes": bytes(1000),
    "a list": b"[]",
    "a number": b"2",
    "null": b"null",
    "a number of a million digits": b'{"format": 2, "steps": ' + b"9" * 1_000_000 + b"}",
    "NaN": b'{"format": 2, "steps": NaN, "config": {}, "texts": {}}',
    "lists 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "objects 100,000 deep": b'{"config":' * 100_000 + b"1" + b"}" * 100_000,
    "UTF-16": '{"format": 2}'.encode("utf-16"),
}


def write_content(path: Path, content: bytes) -> None:
    """Put other content into a file."""
    path.write_bytes(content)


def write_pipe(path: Path, _: bytes = b"") -> None:
    """A named pipe without a writer in the place of a file: who opens it may wait for ever."""
    path.unlink()
    os.mkfifo(path)


def write_folder(path: Path, _: bytes = b"") -> None:
    path.unlink()
    path.mkdir()


def write_device(path: Path, _: bytes = b"") -> None:
    """A link to a device without end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def write_huge(path: Path, _: bytes = b"") -> None:
    """A file of 100 GB, all of it a hole: it takes no room."""
    with path.open("r+b") as file:
        file.truncate(100 << 30)


PLACES = {"a named pipe": write_pipe, "a folder": write_folder, "a device": write_device, "100 GB": write_huge}


def attacks(file: str) -> dict[str, Callable[[Path], None]]:
    """All attacks on ``config.json`` or ``vocabulary.json``, by name: each spoils the file that it is given."""
    changes = SETTINGS if file == "config.json" else VOCABULARY

    def changed(change: Change) -> Callable[[Path], None]:
        def spoil(path: Path) -> None:
            document = json.loads(path.read_text(encoding="utf-8"))
            change(document)
            path.write_text(json.dumps(document).replace("Infinity", "1e400"), encoding="utf-8")

        return spoil

    return (
        {name: changed(change) for name, change in changes.items()}
        | {name: lambda path, content=content: write_content(path, content) for name, content in CONTENTS.items()}
        | dict(PLACES)
    )


def restore(path: Path, content: bytes) -> None:
    """Bring a file back, whatever stands in its place."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    elif path.is_symlink() or not stat.S_ISREG(path.lstat().st_mode):
        path.unlink()
    path.write_bytes(content)
