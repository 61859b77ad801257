"""``flaxchar compress`` and ``flaxchar decompress``: texts as small as a model makes them, and back."""

from __future__ import annotations

import dataclasses
import json
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.options import FieldOptions, ModelOptions, parse
from flaxchar.commands.output import announce_stdin, print_line, printable
from flaxchar.config import InputError
from flaxchar.data.readers.reading import STDIN, shown
from flaxchar.storage import create_file
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.data.examples import Example
    from flaxchar.language_model import LanguageModel

_SUFFIX = ".flaxchar"
# With a larger share of unknown characters, a note says why a file did not become smaller.
_MANY_UNKNOWN = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressOptions(FieldOptions):
    """Compress a text file with a model. The same model restores it byte for byte.

    A model trained with labels or sources needs them: with `label_field` or `source_field`, the texts of a table or
    .jsonl file are compressed with their labels and sources, and restored as .jsonl.
    """

    file: str = setting(dataclasses.MISSING, "File to compress, or - for standard input.", positional=True)
    output: str | None = setting(
        None,
        f"File to write, which must not exist. Without it: the name of the file with {_SUFFIX} added (.jsonl{_SUFFIX} "
        "with labels or sources).",
        metavar="FILE",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecompressOptions(ModelOptions):
    """Restore a file that flaxchar compress made smaller, with the model it was compressed with."""

    file: str = setting(dataclasses.MISSING, "Compressed file, or - for standard input.", positional=True)
    output: str | None = setting(
        None,
        f"File to write, which must not exist. Without it: the name of the file without {_SUFFIX}.",
        metavar="FILE",
    )


def compress(arguments: Sequence[str]) -> int:
    """Run ``flaxchar compress`` and return the exit status."""
    options = parse(CompressOptions, "compress", arguments).options
    with_fields = options.label_field is not None or options.source_field is not None
    for name in ("fields", "encoding", "format", "delimiter", "skip_bad_rows"):
        if not with_fields and getattr(options, name) != getattr(CompressOptions, name):
            raise InputError(
                f"`{name}` goes with `label_field` or `source_field`; without them the whole file is compressed"
            )
    if options.output is None and options.file == STDIN:
        raise InputError("standard input has no name; name the file to write with `output`")
    output = Path(options.output or options.file + ".jsonl" * with_fields + _SUFFIX)
    _check_output(output)
    content: str | list[Example]
    if with_fields:
        content = options.read([options.file])
        original = _as_json_lines(content)
        characters = sum(len(example.text) + 1 for example in content)
    else:
        original = _read(options.file)
        content = original.decode("utf-8", "surrogateescape")
        characters = len(content)
    lm = process.load_model(options.workdir)
    compressed = lm.compress(content)
    _create(output, compressed)
    print_line(
        f"{output}: {len(compressed):,} bytes instead of {len(original):,}, "
        f"{8 * len(compressed) / max(1, characters):.4f} bits/char"
    )
    if isinstance(content, str) and (notice := _why_large(content, lm, shown(options.file))):
        print(printable(f"{notice}."), file=sys.stderr)
    return 0


def decompress(arguments: Sequence[str]) -> int:
    """Run ``flaxchar decompress`` and return the exit status."""
    options = parse(DecompressOptions, "decompress", arguments).options
    if options.output is None and not options.file.endswith(_SUFFIX):
        raise InputError(f"{shown(options.file)} does not end in {_SUFFIX}; name the file to write with `output`")
    output = Path(options.output or options.file.removesuffix(_SUFFIX))
    _check_output(output)
    data = _read(options.file)
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.compression import decompress as decompress_content

    content = decompress_content(lm, data, options.file)
    try:
        restored = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else _as_json_lines(content)
    except UnicodeEncodeError:
        raise InputError(f"{options.file} holds half of a surrogate pair, which no file of text can hold") from None
    _create(output, restored)
    print_line(f"{output}: {len(restored):,} bytes from {len(data):,}")
    return 0


def _why_large(content: str, lm: LanguageModel, name: str) -> str:
    """Why a text takes many bits: it is not UTF-8, or the model does not know its characters; empty if neither."""
    counts = Counter(content)
    undecoded = sum(count for character, count in counts.items() if "\udc80" <= character <= "\udcff")
    if undecoded:
        return (
            f"{name} is not UTF-8: {undecoded:,} of its bytes were coded one by one, without the model; to make it "
            "smaller, convert it first, for example with iconv -t utf-8"
        )
    if lm.vocabulary.unit != "char":
        return ""
    known = {*lm.vocabulary.tokens, "\n"}
    unknown = sum(count for character, count in counts.items() if character not in known)
    if unknown <= _MANY_UNKNOWN * len(content):
        return ""
    return (
        f"{unknown / len(content):.0%} of the characters of {name} are unknown to the model and were coded without it"
    )


def _as_json_lines(examples: Sequence[Example]) -> bytes:
    """Examples as a .jsonl file that ``--fields text`` and ``--label-field label`` read."""
    records = [{name: value for name, value in example._asdict().items() if value is not None} for example in examples]
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records]
    return "".join(lines).encode("utf-8", "backslashreplace")


def _check_output(output: Path) -> None:
    """Raise ``InputError`` if a file cannot be created there."""
    if output.exists():
        raise InputError(f"{output} exists already; move it away, or name another file with `output`")
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent} to write {output.name} in")


def _read(name: str) -> bytes:
    try:
        announce_stdin([name])
        if name == STDIN:
            return sys.stdin.buffer.read()
        if stat.S_ISCHR(mode := Path(name).stat().st_mode) or stat.S_ISBLK(mode):
            raise InputError(f"{name} is a device, not a file")
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def _create(path: Path, data: bytes) -> None:
    try:
        create_file(path, data)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
