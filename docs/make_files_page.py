"""Write docs/files.md: which files flaxchar reads and which it refuses. The script writes each file and reads it.

python docs/make_files_page.py
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from file_cases import SECTIONS, Case

from flaxchar.commands.flags import as_flags
from flaxchar.config import InputError
from flaxchar.data.examples import Example, Examples
from flaxchar.data.readers.files import read_files
from flaxchar.data.readers.formats import endings
from flaxchar.data.readers.reading import Findings, ReadOptions

PAGE = Path(__file__).with_name("files.md")
_SHOWN = 3


def page() -> str:
    """The text of the page."""
    lines = [
        "# Files that are read",
        "",
        "Each row of the tables has a kind of file, a name and flags, and what flaxchar reads: the texts with their",
        "labels in parentheses, and in italics what is said about the file; or why it is refused.",
        "`python docs/make_files_page.py` makes this page: it writes each file and reads it.",
        "",
        "`--format` names the format of all files. Without it, the ending of a file's name decides:",
        "",
        *(f"- {kind}: {', '.join(names)}" for kind, names in endings().items()),
        "",
        "The content decides for standard input and for a file with another ending or none. With `--fields`, it",
        "decides for the endings of plain text too, because plain text has no fields. Parquet and JSON are recognised",
        "by their beginning, a table by a first line with the columns that `--fields` names. Everything else is plain",
        "text. Three endings mislead: a file that begins as Parquet is always Parquet, a .jl file is plain text unless",
        "its content is JSON, and a .js file is JSON if it begins as a file of Twitter's archive (`window.YTD`).",
        "",
        "Files may be compressed (.gz, .bz2, .xz, .zst), in an archive (.zip, .tar, .tar.gz, …) or in a folder.",
    ]
    for section, cases in SECTIONS.items():
        lines += ["", f"## {section}", "", "| file | name and flags | read as |", "|---|---|---|"]
        lines += [f"| {case.title} | {_named(case)} | {outcome(case)} |" for case in cases]
    return "\n".join([*lines, ""])


def _named(case: Case) -> str:
    flags = [
        as_flags(f"`{name}={list(value) if isinstance(value, tuple) else value!r}`")
        for name, value in case.options.items()
    ]
    return f"`{' '.join([case.name, *flags])}`"


def outcome(case: Case) -> str:
    """The outcome of reading a file, for a cell of the table: its first texts and the findings, or the error."""
    findings = Findings()
    with _inside_folder():
        files = (
            {case.name: case.content}
            if isinstance(case.content, bytes)
            else {case.name + name: content for name, content in case.content.items()}
        )
        Path(case.name).parent.mkdir(exist_ok=True)
        if case.name.endswith("/"):
            Path(case.name).mkdir()
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        try:
            chunks = list(read_files([case.name.rstrip("/")], ReadOptions(**case.options), findings))
        except InputError as error:
            return _cell(f"**refused:** {as_flags(str(error))}")
    texts = [_shown(example) for example in Examples.from_chunks(chunks)]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    told = "".join(f"<br>*{as_flags(sentence)}*" for sentence in findings.sentences())
    return _cell((", ".join(texts[:_SHOWN]) or "no text") + more + told)


def _shown(example: Example) -> str:
    label = "" if example.label is None else f" ({example.label})"
    return json.dumps(example.text, ensure_ascii=False) + label


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "").replace("__MACOSX", "\\_\\_MACOSX").replace("\n", " ")


@contextlib.contextmanager
def _inside_folder() -> Iterator[None]:
    """A new folder as the working directory, so that messages name files as a user would."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
