"""The commands that use a trained model for more than writing: score, classify, compress, decompress."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from flaxchar.commands.main import Switch, load_model, parse
from flaxchar.config import InputError

_ENDING = ".flaxchar"


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """How surprising texts are to a model: bits per character of each line, and of all."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional] = ("-",)
    """Files like those of train --data; - for standard input."""
    workdir: str = "runs"
    """The run directory of the model."""
    fields: tuple[str, ...] = ()
    """What holds the text in .csv, .tsv and .jsonl, as for train."""
    encoding: str = "utf-8"
    """The encoding of the files."""
    rank: Switch = False
    """The most surprising text first."""
    adapt: Switch = False
    """Let the model learn from each few texts once they are scored."""
    json: Switch = False
    """One JSON object a line for each text, and one for all."""
    debug: Switch = False
    """Show where an error came from."""


def score_command(arguments: Sequence[str]) -> int:
    """``flaxchar score``."""
    options = parse(ScoreOptions, "flaxchar score", arguments, ScoreOptions())
    given = _read_texts(options.files, options.fields, options.encoding)
    lines = [number for number, text in enumerate(given, start=1) if text]
    texts = [text for text in given if text]
    lm = load_model(options.workdir)

    from flaxchar.analysis.score import score
    from flaxchar.commands.terminal import shortened

    scores = score(lm, texts, options.adapt)
    bits = scores.nats / math.log(2)
    each = (bits / scores.characters.clip(1)).tolist()
    order = sorted(range(len(texts)), key=lambda k: -each[k]) if options.rank else range(len(texts))
    for k in order:
        if options.json:
            record = {"bits_per_character": each[k], "bits": float(bits[k]), "line": lines[k], "text": texts[k]}
            print(json.dumps(record, ensure_ascii=False))
        else:
            print(f"{each[k]:7.4f}  {shortened(texts[k])}")
    total = {
        "bits_per_character": scores.bits_per_character,
        "bits": float(bits.sum()),
        "texts": len(texts),
        "characters": int(scores.characters.sum()),
        "left_out": scores.missing.total(),
    }
    if options.json:
        print(json.dumps(total))
        return 0
    left_out = f"; left out, for the model has never seen them: {_some(scores.missing)}" if scores.missing else ""
    print(
        f"{total['bits_per_character']:7.4f}  bits per character in all: {len(texts):,} texts, "
        f"{total['characters']:,} characters, their ends counted{left_out}"
    )
    return 0


def _some(missing: dict[str, int]) -> str:
    shown = ", ".join(repr(token) for token in list(missing)[:8])
    return f"{shown} ({sum(missing.values()):,} times)"


@dataclasses.dataclass(frozen=True)
class CompressOptions:
    """Make a text as small as a model says, or restore it."""

    file: Annotated[str, tyro.conf.Positional]
    """The file."""
    output: str | None = None
    """The file to write, which must not exist; left open: the same name with .flaxchar added, or taken away."""
    workdir: str = "runs"
    """The run directory of the model."""
    debug: Switch = False
    """Show where an error came from."""


def compress_command(arguments: Sequence[str]) -> int:
    """``flaxchar compress``."""
    options = parse(CompressOptions, "flaxchar compress", arguments, CompressOptions("-"))
    output = Path(options.output or options.file + _ENDING)
    data = _read(options.file, output)
    lm = load_model(options.workdir)

    from flaxchar.analysis.compression import compress

    text = data.decode("utf-8", "surrogateescape")
    coded = compress(lm, text)
    _write(output, coded)
    print(
        f"{output}: {len(coded):,} bytes instead of {len(data):,}, "
        f"{8 * len(coded) / max(1, len(text)):.4f} bits per character"
    )
    return 0


def decompress_command(arguments: Sequence[str]) -> int:
    """``flaxchar decompress``."""
    options = parse(CompressOptions, "flaxchar decompress", arguments, CompressOptions("-"))
    if options.output is None and not options.file.endswith(_ENDING):
        raise InputError(f"{options.file} does not end in {_ENDING}; name the file to write with --output")
    output = Path(options.output or options.file.removesuffix(_ENDING))
    data = _read(options.file, output)
    lm = load_model(options.workdir)

    from flaxchar.analysis.compression import decompress

    restored = decompress(lm, data, options.file).encode("utf-8", "surrogateescape")
    _write(output, restored)
    print(f"{output}: {len(restored):,} bytes from {len(data):,}")
    return 0


def _read(name: str, output: Path) -> bytes:
    """A file's content, once it is sure that there is a place for what is made of it."""
    if output.exists():
        raise InputError(f"{output} exists already; move it away, or name another file with --output")
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    """A new file, whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:
            file.write(data)
            file.flush()
            os.chmod(file.name, 0o644)
            os.link(file.name, path)  # unlike a renaming, never over a file that came in between
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class ClassifyOptions:
    """Name the class of each text, by Bayes' rule: under which class the model finds it likeliest."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional] = ("-",)
    """Files like those of train --data; - for standard input."""
    workdir: str = "runs"
    """The run directory of the model."""
    fields: tuple[str, ...] = ()
    """What holds the text in .csv, .tsv and .jsonl, as for train."""
    label_field: str | None = None
    """What holds the right class, where the files tell: then only how often the model is right is reported."""
    encoding: str = "utf-8"
    """The encoding of the files."""
    json: Switch = False
    """One JSON object a line for each text, with the probability of each class."""
    debug: Switch = False
    """Show where an error came from."""


def classify_command(arguments: Sequence[str]) -> int:
    """``flaxchar classify``."""
    options = parse(ClassifyOptions, "flaxchar classify", arguments, ClassifyOptions())
    from flaxchar.data.files import read_files

    chunks = list(read_files(options.files, options.fields, options.encoding, label_field=options.label_field))
    texts = [text for chunk in chunks for text in chunk.texts]
    right = [label for chunk in chunks for label in chunk.labels or ()]
    if not texts:
        raise InputError("there is no text to classify")
    lm = load_model(options.workdir)

    import numpy as np

    from flaxchar.commands.terminal import SHOWN, printable
    from flaxchar.language_model import class_probabilities

    probabilities = class_probabilities(lm.class_nats(texts))
    names = lm.vocabulary.labels
    if options.label_field is not None and not options.json:
        if unknown := sorted(set(right) - set(names)):
            known = ", ".join(names)
            raise InputError(f"--label-field names classes the model does not know: {unknown[0]!r}; it knows {known}")
        print("\n".join(_judge(probabilities, np.array([names.index(name) for name in right]), names)))
        return 0
    for text, row in zip(texts, probabilities, strict=True):
        best = names[int(row.argmax())]
        if options.json:
            record = {"label": best, "probabilities": dict(zip(names, row.round(6).tolist(), strict=True))}
            print(json.dumps({**record, "text": text}, ensure_ascii=False))
        else:
            print(f"{best}  {row.max():.3f}  {printable(text)[:SHOWN]}")
    return 0


def _judge(probabilities: Any, right: Any, names: Sequence[str]) -> list[str]:
    """Accuracy, confusion matrix and calibration, lines for people."""
    import numpy as np

    named, sureness = probabilities.argmax(1), probabilities.max(1)
    hits = named == right
    lines = [f"{hits.mean():.1%} of {len(right):,} texts are given their class", "", "of class … was called …:"]
    width = max(6, *map(len, names))
    lines.append(" " * width + "".join(f"  {name:>{width}}" for name in names))
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (right, named), 1)
    for name, row in zip(names, confusion, strict=True):
        lines.append(f"{name:>{width}}" + "".join(f"  {count:>{width},}" for count in row))
    lines += ["", "how sure it was, and how often it was right:"]
    error = 0.0
    bins = np.minimum((sureness * 10).astype(int), 9)
    for k in range(10):
        if count := int((bins == k).sum()):
            sure, often = sureness[bins == k].mean(), hits[bins == k].mean()
            error += count / len(right) * abs(sure - often)
            lines.append(f"  {sure:6.1%}  {often:6.1%}  ({count:,} texts)")
    lines.append(f"expected calibration error: {error:.3f} (Guo et al. 2017, https://arxiv.org/abs/1706.04599)")
    return lines


def _read_texts(names: Sequence[str], fields: Sequence[str], encoding: str) -> list[str]:
    from flaxchar.data.files import read_files

    return [text for chunk in read_files(names, fields, encoding) for text in chunk.texts]
