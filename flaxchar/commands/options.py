"""Command-line arguments: parsed once into a command's options and the settings that the user set.

Flags, their help and their allowed values come from the dataclasses (``flaxchar.validation``).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_origin

from flaxchar.commands.flags import as_flags
from flaxchar.commands.output import announce_stdin, decoded, printable
from flaxchar.commands.parser import VALUE, Parser
from flaxchar.config import Config, InputError
from flaxchar.settings import MOST_SIZE, FormatName
from flaxchar.validation import path_problem, problems, setting, types_of

if TYPE_CHECKING:
    from flaxchar.data.examples import Example
    from flaxchar.data.readers.reading import Place

Options = TypeVar("Options")
# Options that name files and folders.
_PATHS = frozenset(
    {"data", "val_data", "data_dir", "init_from", "workdir", "output", "file", "files", "run", "runs", "vocabulary"}
)
_POSITIONAL_PATHS = frozenset({"file", "files", "run", "runs"})
# Heading of the options that say how texts are drawn.
DRAWING = "How texts are drawn"
# Heading of the options that say what texts must be like.
CONSTRAINTS = "What the texts must be like"

# -- options that several commands share ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class DebugOptions:
    """Options of every command."""

    debug: bool = setting(False, "Show where an error came from.", heading="Help", switch=True)


@dataclasses.dataclass(frozen=True)
class ModelOptions(DebugOptions):
    """Options of the commands that use a trained model."""

    workdir: str = setting("runs", "Run directory of the model.", metavar="DIR")


@dataclasses.dataclass(frozen=True)
class FieldOptions(ModelOptions):
    """Options that say where the texts, labels and sources of a file are."""

    fields: tuple[str, ...] = setting(
        (), "Columns or JSON keys that hold the text, as for train.", heading="Texts", alias="target_field"
    )
    label_field: str | None = setting(
        None, "Column or JSON key that holds the label of each text.", heading="Texts", filled=True
    )
    source_field: str | None = setting(
        None, "Column or JSON key that holds the source of each text.", heading="Texts", filled=True
    )
    encoding: str = setting("utf-8", "Encoding of the files, such as cp1252.", heading="Texts", filled=True)
    format: FormatName | None = setting(
        None,
        "How to read the files, whatever their names. Without it: by their endings, else by their content.",
        heading="Texts",
    )
    delimiter: str | None = setting(
        None, "Character between the columns of tables, as for train.", heading="Texts", metavar="CHARACTER"
    )
    skip_bad_rows: bool = setting(
        False, "Leave out rows and records that do not fit, as for train.", heading="Texts", switch=True
    )

    def read(self, names: Sequence[str], running: bool = False) -> list[Example]:
        """Read the examples of files and tell on stderr what the readers found; ``running`` as for ``ReadOptions``."""
        return self.read_places(names, running)[0]

    def read_places(self, names: Sequence[str], running: bool = False) -> tuple[list[Example], list[Place]]:
        """As ``read``, and where each example was read."""
        from flaxchar.data.examples import Chunk, Examples
        from flaxchar.data.readers.files import read_files
        from flaxchar.data.readers.reading import Findings, ReadOptions

        announce_stdin(names)
        findings = Findings()
        places: list[Place] = []

        def noted(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
            file, number, continued = None, 0, False
            for chunk in chunks:
                if findings.place is not file:
                    file, number = findings.place, 0
                last = number + len(chunk.texts) - continued
                places.extend(file._replace(number=k) for k in range(number + 1, last + 1))
                number, continued = last, not chunk.complete
                yield chunk

        own = {name: getattr(self, name) for name in ReadOptions._fields if name != "running"}
        options = ReadOptions(**own, running=running)
        examples = list(Examples.from_chunks(noted(read_files(names, options, findings))))
        for sentence in findings.sentences():
            print(printable(as_flags(f"{sentence}.")), file=sys.stderr)
        return examples, places


@dataclasses.dataclass(frozen=True)
class TextOptions(FieldOptions):
    """Options of the commands that read texts for a trained model."""

    files: tuple[str, ...] = setting(("-",), "Files, as for train --data; - for standard input.", positional=True)


@dataclasses.dataclass(frozen=True)
class DrawOptions(ModelOptions):
    """Options of the commands that write texts."""

    temperature: float = setting(
        0.8,
        "Below 1 for likelier texts, above 1 for wilder ones; 0 for the most probable character each time.",
        least=0,
        heading=DRAWING,
    )
    top_k: int = setting(0, "Draw only among this many most probable characters; 0 for all.", least=0, heading=DRAWING)
    top_p: float = setting(
        1.0,
        "Draw only among the most probable characters that together have this probability.",
        above=0,
        most=1,
        heading=DRAWING,
    )
    min_p: float = setting(
        0.0,
        "Draw only among characters with at least this share of the most probable one's probability; 0 for all.",
        least=0,
        most=1,
        heading=DRAWING,
    )
    size: int = setting(
        300,
        "Longest text, in characters (words for a model of words), prompt included.",
        least=1,
        most=MOST_SIZE,
        heading=DRAWING,
    )
    seed: int = setting(0, "The same seed gives the same texts.", least=0, most=2**32 - 1, heading=DRAWING)
    json: bool = setting(False, "Print one JSON object per text.", heading="What is printed", switch=True)


# -- parsing ----------------------------------------------------------------------------------------------------------


class Parsed(NamedTuple, Generic[Options]):
    """What the arguments of a command say.

    Attributes:
      options: the command's own options, defaults filled in.
      settings: the settings of ``Config`` that the user set, by name, whether or not they equal the default. Those that
        may have several values (``parse(several=…)``) are tuples of them.
      given: the names of all options and settings that the user set.
    """

    options: Options
    settings: dict[str, Any]
    given: frozenset[str]


def parse(
    kind: type[Options],
    command: str,
    arguments: Sequence[str],
    with_settings: bool = False,
    several: Collection[str] = (),
) -> Parsed[Options]:
    """Parse the arguments of a command; with ``--help``, print the help and exit.

    Args:
      kind: the dataclass of the command's options.
      command: its name.
      arguments: what follows the name.
      with_settings: whether the settings of ``Config`` are flags too.
      several: settings that may be given several values.

    Raises:
      InputError: a flag is unknown or a value cannot be used; one sentence that names it.
    """
    sections: list[Any] = [*vars(Config()).values()] if with_settings else []
    parser = Parser(kind, sections, command, several)
    known, unknown = parser.parse_known_intermixed_args(parser.mark_values(arguments))
    if unknown:
        raise InputError(parser.explain_unknown(unknown[0].removeprefix(VALUE)))
    types = {name: hint for section in (*map(type, sections), kind) for name, hint in types_of(section).items()}
    values = {
        name: tuple(convert(item, *types[name]) for item in given) if name in several else convert(given, *types[name])
        for name, given in ((name, _as_given(name, value)) for name, value in vars(known).items())
    }
    own = types_of(kind).keys()
    options = kind(**{name: value for name, value in values.items() if name in own})
    settings = {name: value for name, value in values.items() if name not in own}
    checked = Config().replace(**{name: value for name, value in settings.items() if name not in several})
    for problem in itertools.chain(*map(problems, (options, *vars(checked).values())), _path_problems(values)):
        raise InputError(problem)
    return Parsed(options, settings, frozenset(values))


def _path_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each path among the options that no file can have."""
    for name in sorted(_PATHS & values.keys()):
        given = values[name]
        for path in given if isinstance(given, tuple) else (given,):
            what = f"the name of a {name.removesuffix('s')}" if name in _POSITIONAL_PATHS else f"`{name}`"
            if path is not None and (problem := path_problem(what, path)):
                yield problem


def _as_given(name: str, value: Any) -> Any:
    """The value of an option as the user wrote it, without marks; a value that names no file is read as UTF-8."""
    if isinstance(value, list):
        return [_as_given(name, item) for item in value]
    if not isinstance(value, str):
        return value
    value = value.removeprefix(VALUE)
    if name == "workdir" and value != value.encode("utf-8", "replace").decode():
        raise InputError(f"`workdir` is {value!r}, which this locale cannot decode; set PYTHONUTF8=1, or use ASCII")
    return value if name in _PATHS else decoded(value)


def convert(given: Any, kind: Any, optional: bool) -> Any:
    """What the user wrote as a value of its type; what cannot be converted stays a string, which validation reports."""
    if get_origin(kind) is tuple:
        return tuple(given)
    if kind in (int, float):
        if optional and given.lower() == "none":
            return None
        try:
            return kind(given)
        except ValueError:
            return given
    return given


def with_absolute_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """The same settings with absolute paths of files, so that the run can be continued from any folder."""
    from flaxchar.data.readers.reading import is_no_path

    def absolute(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if is_no_path(name) else os.path.abspath(name) for name in names)

    settings = {name: absolute(value) if name in ("data", "val_data") else value for name, value in settings.items()}
    if settings.get("init_from") is not None:
        settings["init_from"] = os.path.abspath(settings["init_from"])
    return settings
