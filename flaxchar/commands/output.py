"""Output of the commands: it never fails for its encoding, and JSON stays valid in any."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from flaxchar.config import FormWarning
from flaxchar.data.readers.reading import STDIN

# Control characters; line and paragraph separators; embeddings, overrides and isolates of the writing direction, which
# would go on to the end of the line; and halves of surrogate pairs.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_unencodable() -> None:
    """Let stdout and stderr write what their encoding does not have as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def announce_stdin(names: Iterable[str]) -> None:
    """At a terminal, say that the command waits for input."""
    if STDIN in names and sys.stdin is not None and sys.stdin.isatty():
        print("reading standard input; Ctrl-D ends it", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """A text on one line: what a terminal obeys instead of showing becomes an escape, as in Python strings.

    These are control characters, the ends of lines and paragraphs, changes of the writing direction, and halves of
    surrogate pairs. All other characters stay: joiners, no-break spaces and private-use characters belong to the text.
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def print_line(text: str) -> None:
    """Print a text as one line at once, made ``printable``: it may hold the name of a file or a folder."""
    print(printable(text), flush=True)


def print_json(record: dict[str, Any]) -> None:
    """Print a record as a line of JSON: in ASCII where stdout is not UTF-8."""
    # Half of a surrogate pair is written as an escape by `escape_unencodable`, which is valid in JSON.
    print(json.dumps(record, ensure_ascii=not _is_utf8(sys.stdout.encoding), allow_nan=False))


def _is_utf8(encoding: str | None) -> bool:
    try:
        return codecs.lookup(encoding or "").name == "utf-8"
    except LookupError:
        return False


@contextlib.contextmanager
def form_warnings() -> Iterator[None]:
    """Print each ``FormWarning`` as a sentence on stderr, the same one once."""
    told = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", FormWarning)
        show_others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, FormWarning):
                show_others(message, category, *where)
            elif str(message) not in told:
                told.add(str(message))
                print(printable(f"{message}."), file=sys.stderr)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def decoded(argument: str) -> str:
    """A command-line argument in UTF-8, also where the locale has another encoding, such as C has.

    Python then keeps the bytes that are not ASCII as halves of surrogate pairs.
    """
    if argument.isascii():
        return argument
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument
