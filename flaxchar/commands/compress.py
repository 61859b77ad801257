"""``flaxchar compress`` and ``flaxchar decompress``: a text file as small as a model makes it, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from flaxchar.commands import process
from flaxchar.commands.options import ModelOptions, parse
from flaxchar.config import InputError
from flaxchar.storage import create_file
from flaxchar.validation import setting

_SUFFIX = ".flaxchar"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressOptions(ModelOptions):
    """Compress a text file with a model. The same model restores it byte for byte."""

    file: str = setting(dataclasses.MISSING, "Text file.", positional=True)
    output: str | None = setting(
        None,
        f"File to write, which must not exist. Without it: the name of the file with {_SUFFIX} added.",
        metavar="FILE",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecompressOptions(ModelOptions):
    """Restore a text file that flaxchar compress made smaller, with the model it was compressed with."""

    file: str = setting(dataclasses.MISSING, "Compressed file.", positional=True)
    output: str | None = setting(
        None,
        f"File to write, which must not exist. Without it: the name of the file without {_SUFFIX}.",
        metavar="FILE",
    )


def compress(arguments: Sequence[str]) -> int:
    """Run ``flaxchar compress`` and return the exit status."""
    options = parse(CompressOptions, "compress", arguments).options
    output = Path(options.output or options.file + _SUFFIX)
    data = _read(options.file, output)
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.compression import compress as compress_text

    text = data.decode("utf-8", "surrogateescape")
    compressed = compress_text(lm, text)
    _create(output, compressed)
    print(
        f"{output}: {len(compressed):,} bytes instead of {len(data):,}, "
        f"{8 * len(compressed) / max(1, len(text)):.4f} bits/char"
    )
    return 0


def decompress(arguments: Sequence[str]) -> int:
    """Run ``flaxchar decompress`` and return the exit status."""
    options = parse(DecompressOptions, "decompress", arguments).options
    if options.output is None and not options.file.endswith(_SUFFIX):
        raise InputError(f"{options.file} does not end in {_SUFFIX}; name the file to write with `output`")
    output = Path(options.output or options.file.removesuffix(_SUFFIX))
    data = _read(options.file, output)
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.compression import decompress as decompress_text

    restored = decompress_text(lm, data, options.file).encode("utf-8", "surrogateescape")
    _create(output, restored)
    print(f"{output}: {len(restored):,} bytes from {len(data):,}")
    return 0


def _read(name: str, output: Path) -> bytes:
    """Read a file, after a check that its output has a place.

    Raises:
      InputError: the output exists already, or the file cannot be read.
    """
    if output.exists():
        raise InputError(f"{output} exists already; move it away, or name another file with `output`")
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent} to write {output.name} in")
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def _create(path: Path, data: bytes) -> None:
    try:
        create_file(path, data)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
