"""Which files of a folder or archive are read, and what is told of the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from flaxchar.config import InputError
from flaxchar.data.readers.compressions import compression_of
from flaxchar.data.readers.encodings import sample_text
from flaxchar.data.readers.formats import Format, by_content, by_ending, is_archive, looks_like_text
from flaxchar.data.readers.reading import Findings, ReadOptions, listed
from flaxchar.data.readers.recognition import lines_above, recognise
from flaxchar.data.readers.signatures import unreadable

Family = Literal["plain", "table", "json", "parquet", "archive", "other", "hidden", "empty"]
_NAMES: dict[Family, str] = {
    "plain": "plain text file",
    "table": "table",
    "json": "JSON file",
    "parquet": "Parquet file",
    "archive": "archive",
    "other": "file of another kind",
    "hidden": "hidden file",
    "empty": "empty file",
}
# Files that systems and editors put beside those of the user.
_HIDDEN = re.compile(r"(thumbs\.db|desktop\.ini|icon\r|~\$.*|.*~|#.*#)", re.IGNORECASE)
# Plain files that speak of the data beside them.
_ABOUT = re.compile(
    r"(read_?me|licen[cs]e|copying|copyright|notice|change(s|log)|contributing|authors|citation|data_?card|about"
    r"|requirements|sources?|credits)([-_. ].*)?",
    re.IGNORECASE,
)
# What the library datasets and Kaggle put beside the data.
_ABOUT_JSON = re.compile(r"dataset_infos?\.json|dataset_dict\.json|dataset-metadata\.json")
_STATE = "state.json"  # a plain name, so it counts only beside one of these


class Entry(NamedTuple):
    """A file in a folder or archive.

    Attributes:
      name: its path within that, with ``/`` between the parts.
      size: its bytes.
      head: reads the first bytes.
    """

    name: str
    size: int
    head: Callable[[], bytes]


def choose(entries: Sequence[Entry], container: str, options: ReadOptions, findings: Findings) -> list[str]:
    """Choose the files to read.

    Hidden and empty files are left out. Where fields are named, only files with fields are read; where they are not,
    a table cannot be read, so it must not stand among plain texts. Files about the data, such as README.md, are left
    out beside tables and JSON. Files of unknown endings are read where there is nothing else.

    Args:
      entries: all the files, in the order in which they are to be read.
      container: the folder or archive, for messages: "the folder poems".
      options: what the user said.
      findings: told what is left out.

    Returns:
      The names of those to read.

    Raises:
      InputError: there is none, or it cannot be told which are meant.
    """
    families: dict[Family, list[str]] = {family: [] for family in _NAMES}
    for entry in entries:
        families[_family(entry, options)].append(entry.name)
    left_out: dict[Family, list[str]] = {family: families[family] for family in ("hidden", "empty", "other")}
    because = ""
    about_json = [name for name in families["json"] if _ABOUT_JSON.fullmatch(_last(name))]
    if about_json and options.format is None:
        about_json += [name for name in families["json"] if _last(name) == _STATE]
        families["json"] = [name for name in families["json"] if name not in set(about_json)]
        findings.note(f"{container}: left out {_count('json', about_json)}, which by name describe the data")
    if lacking := _lacking(entries, families["table"], options):
        families["table"] = [name for name in families["table"] if name not in set(lacking)]
        findings.note(f"{container}: left out {_count('table', lacking)}, for lack of the columns that are named")
    if families["table"] or families["json"] or families["parquet"]:
        about = [name for name in families["plain"] if _ABOUT.fullmatch(_last(name))]
        others = [name for name in families["plain"] if name not in set(about)]
        if options.records:
            left, why = families["plain"], "because `fields` names columns"
        elif families["table"] and others:
            raise InputError(
                f"{container} holds {_count('table', families['table'])} and {_count('plain', others)}; say with "
                "`fields` which column holds the text, and the tables alone are read, or name the files to read"
            )
        else:
            left, why = about, "which by name describes the data"
        if left:
            families["plain"] = [name for name in families["plain"] if name not in set(left)]
            because = f"{_count('plain', left)}, {why}"
    chosen = {name for family in ("plain", "table", "json", "parquet", "archive") for name in families[family]}
    if not chosen:
        unknown = {entry.name: entry.head() for entry in entries if entry.name in set(families["other"])}
        chosen = {name for name, head in unknown.items() if looks_like_text(head)}
        if not chosen:
            raise InputError(f"{container} holds no file that can be read{_kinds(entries, left_out, unknown)}")
        left_out["other"] = [name for name in families["other"] if name not in chosen]
        if not options.format:
            names = [name for name in families["other"] if name in chosen]
            findings.note(f"{container}: read by content, because their endings tell no format: {listed(names)}")
    told = [_count(family, names) for family, names in left_out.items() if names] + [because] * bool(because)
    if told:
        findings.note(f"{container}: left out {'; '.join(told)}")
    return [entry.name for entry in entries if entry.name in chosen]


def _lacking(entries: Sequence[Entry], tables: Sequence[str], options: ReadOptions) -> list[str]:
    """The tables without the columns that are named, such as a sample_submission.csv; none if no table has them."""
    if len(tables) < 2 or not options.fields:
        return []
    heads = {entry.name: entry.head for entry in entries}
    lacking = [name for name in tables if not _has_columns(name, heads[name](), options)]
    return lacking if len(lacking) < len(tables) else []


def _has_columns(name: str, head: bytes, options: ReadOptions) -> bool:
    """Whether a table has the columns that are named; also where that cannot be told."""
    lines = sample_text(head, options.encoding).split("\n")
    if compression_of(head) is not None or not any(map(str.strip, lines)):
        return True
    form, wanted = by_ending(name), [*options.named, *options.fields]
    default = "," if form is None else form.delimiter
    try:
        recognise(
            lines[lines_above(lines, default, wanted, options.delimiter) :], default, wanted, name, options.delimiter
        )
    except InputError:
        return False
    return True


def _family(entry: Entry, options: ReadOptions) -> Family:
    parts = [part for part in entry.name.split("/") if part not in ("", ".", "..")] or [entry.name]
    if any(part.startswith(".") or part == "__MACOSX" for part in parts) or _HIDDEN.fullmatch(parts[-1]):
        return "hidden"
    if not entry.size:
        return "empty"
    if is_archive(entry.name):
        return "archive"
    told = by_ending(entry.name)
    if options.format == "txt":
        return "plain" if told is not None or looks_like_text(entry.head()) else "other"
    if told is None and "." not in parts[-1] and not _ABOUT.fullmatch(parts[-1]):
        head = entry.head()
        told = by_content(head, options) if looks_like_text(head) or head.startswith(b"PAR1") else None
    elif told is None and _ABOUT.fullmatch(parts[-1]) and "." not in parts[-1]:
        told = Format("plain")
    if told is None and options.format is not None and (told := Format.of(options.format)).kind != "parquet":
        return told.kind if looks_like_text(entry.head()) else "other"
    return "other" if told is None else told.kind


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _count(family: Family, names: Sequence[str]) -> str:
    what = _NAMES[family]
    plural = what.replace("file of another kind", "files of other kinds") if family == "other" else f"{what}s"
    return f"{len(names):,} {what if len(names) == 1 else plural} ({listed(names)})"


def _kinds(entries: Sequence[Entry], left_out: dict[Family, list[str]], unknown: dict[str, bytes]) -> str:
    """What a folder without a readable file holds instead: ": 2 PDF documents and 1 empty file; …"."""
    if not entries:
        return ": it is empty"
    found = {name: unreadable(head) for name, head in unknown.items()}
    told = [kind.counted(number) for kind, number in Counter(kind for kind in found.values() if kind).items()]
    if strange := [name for name, kind in found.items() if kind is None]:
        told.append(_count("other", strange))
    told += [_count(family, names) for family, names in left_out.items() if names and family != "other"]
    kinds = {kind for kind in found.values() if kind is not None}
    advice = f"; {kinds.pop().advice}" if len(kinds) == 1 else "; convert them to plain text or .csv" if kinds else ""
    return f": {', '.join(told)}{advice}"
