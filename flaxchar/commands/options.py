"""Command-line arguments: parsed once into a command's options and the settings that the user set.

Flags, their help and their allowed values come from the dataclasses (``flaxchar.validation``).
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import itertools
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, NoReturn, TypeVar, get_args, get_origin

from flaxchar.commands.flags import SETTINGS, as_flags, flag
from flaxchar.config import Config, InputError
from flaxchar.presets import describe_by_corpus
from flaxchar.validation import Setting, describe, problems, setting, types_of

if TYPE_CHECKING:
    from flaxchar.data.examples import Example

Options = TypeVar("Options")
# Heading of the options that say how texts are drawn.
DRAWING = "How texts are drawn"

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
    label_field: str | None = setting(None, "Column or JSON key that holds the label of each text.", heading="Texts")
    source_field: str | None = setting(None, "Column or JSON key that holds the source of each text.", heading="Texts")
    encoding: str = setting("utf-8", "Encoding of the files, by its Python name.", heading="Texts")

    def read(self, names: Sequence[str], running: bool = False) -> list[Example]:
        """Read the examples of files and tell on stderr what the readers found; ``running`` as for ``ReadOptions``."""
        from flaxchar.data.examples import Examples
        from flaxchar.data.files import read_files
        from flaxchar.data.reading import Findings, ReadOptions

        findings = Findings()
        options = ReadOptions(self.fields, self.label_field, self.source_field, self.encoding, running)
        examples = list(Examples.from_chunks(read_files(names, options, findings)))
        for sentence in findings.sentences():
            print(f"{sentence}.", file=sys.stderr)
        return examples


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
    size: int = setting(
        300, "Longest text, in characters (words for a model of words), prompt included.", least=1, heading=DRAWING
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
    """

    options: Options
    settings: dict[str, Any]


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
    parser = _Parser(kind, sections, command, several)
    known, unknown = parser.parse_known_intermixed_args(list(arguments))
    if unknown:
        raise InputError(parser.explain_unknown(unknown[0]))
    types = {name: hint for section in (*map(type, sections), kind) for name, hint in types_of(section).items()}
    values = {
        name: tuple(_convert(item, *types[name]) for item in given)
        if name in several
        else _convert(given, *types[name])
        for name, given in vars(known).items()
    }
    own = types_of(kind).keys()
    options = kind(**{name: value for name, value in values.items() if name in own})
    settings = {name: value for name, value in values.items() if name not in own}
    checked = Config().replace(**{name: value for name, value in settings.items() if name not in several})
    for problem in itertools.chain(*map(problems, (options, *vars(checked).values()))):
        raise InputError(problem)
    return Parsed(options, settings)


def _convert(given: Any, kind: Any, optional: bool) -> Any:
    """A command-line value as its type; one that cannot be converted stays a string, which validation reports."""
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

    def absolute(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name == "-" else os.path.abspath(name) for name in names)

    settings = {name: absolute(value) if name in ("data", "val_data") else value for name, value in settings.items()}
    if settings.get("init_from") is not None:
        settings["init_from"] = os.path.abspath(settings["init_from"])
    return settings


class _Parser(argparse.ArgumentParser):
    """The flags of a command, under the headings of its help. Values stay strings; what is not given stays away."""

    def __init__(self, kind: type, sections: Sequence[Any], command: str, several: Collection[str]) -> None:
        """``sections`` hold the defaults of the settings."""
        super().__init__(
            prog=f"flaxchar {command}",
            description=as_flags(" ".join((kind.__doc__ or "").split())),
            usage=f"flaxchar {command} {_positional_usage(kind)}[OPTIONS]",
            formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=26, width=_help_width()),
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
            add_help=False,
        )
        self.groups: dict[str, argparse._ArgumentGroup] = {}
        self.flags: list[str] = []
        for section, defaults in [(kind, kind), *((type(section), section) for section in sections)]:
            types, heading = types_of(section), getattr(section, "HEADING", "Options")
            for field in dataclasses.fields(section):
                default = getattr(defaults, field.name, None)
                self._add(field, types[field.name][0], heading, default, field.name in several)
        help_group = self.groups["Help"]
        help_group.add_argument("-h", "--help", action="help", help="Show this help.")
        self._action_groups.remove(help_group)
        self._action_groups.append(help_group)

    def _add(self, field: dataclasses.Field, kind: Any, heading: str, default: Any, several: bool) -> None:
        """Add one field of a settings dataclass as a flag, or as a positional argument."""
        name, declared = field.name, describe(field)
        heading = declared.heading or heading
        if heading not in self.groups:
            self.groups[heading] = self.add_argument_group(heading)
        details: dict[str, Any] = {
            "help": _help(name, declared, kind, default, several).replace("%", "%%"),
            "dest": name,
        }
        flags = [flag(name)] + ([flag(declared.alias)] if declared.alias else [])
        if kind is bool:
            details["action"] = "store_true" if declared.switch else argparse.BooleanOptionalAction
        else:
            details["metavar"] = declared.metavar or _metavar(name, kind, several)
            is_tuple = get_origin(kind) is tuple
            if declared.repeated:
                details["action"] = "append"
            elif is_tuple or several:
                details["nargs"] = "*" if declared.may_be_empty or declared.positional else "+"
        if declared.positional:
            del details["dest"]
            flags = [name]
        self.groups[heading].add_argument(*flags, **details)
        self.flags += flags

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint as an ``InputError`` of one sentence."""
        name, _, complaint = message.removeprefix("argument ").partition(": ")
        name = name.split("/")[0]
        if complaint.startswith("expected"):
            raise InputError(f"{name} needs a value")
        if complaint.startswith("ignored explicit argument"):
            raise InputError(f"{name} takes no value")
        if name == "the following arguments are required":
            raise InputError(f"{self.prog} needs a {complaint.upper()}; {self.prog} --help shows how to call it")
        raise InputError(f"{message}; {self.prog} --help lists the options")

    def explain_unknown(self, argument: str) -> str:
        """Say that an argument is unknown, and which flag it resembles."""
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            advice = "name files with --data" if "--data" in self.flags else f"{self.prog} --help lists the options"
            return f"{argument!r} belongs to no option; {advice}"
        near = difflib.get_close_matches(name, self.flags, 1)
        advice = f"did you mean {near[0]}?" if near else f"{self.prog} --help lists the options"
        return f"{self.prog} has no option {name}; {advice}"


def _positional_usage(kind: type) -> str:
    fields = [field for field in dataclasses.fields(kind) if describe(field).positional]
    return "".join(
        f"[{f.name.upper()} ...] " if get_origin(types_of(kind)[f.name][0]) is tuple else f"{f.name.upper()} "
        for f in fields
    )


def _metavar(name: str, kind: Any, several: bool) -> str:
    if get_origin(kind) is Literal and not several:
        return "|".join(get_args(kind))
    return {int: "N", float: "X"}.get(kind, name.rpartition("_")[2].upper().removesuffix("S"))


def _help(name: str, declared: Setting, kind: Any, default: Any, several: bool) -> str:
    """The help of a flag: what it does, its range, and the default that will really be used."""
    notes = []
    if get_origin(kind) is Literal and several:
        notes.append(f"one of {', '.join(get_args(kind))}")
    if kind is float and declared.range:
        notes.append(declared.range)
    if by_corpus := describe_by_corpus(name) if name in SETTINGS else None:
        notes.append(f"chosen by the corpus: {by_corpus}")
    elif isinstance(default, bool):
        notes += [] if declared.switch else [f"default: {'on' if default else 'off'}"]
    elif default not in (None, ()):
        shown = " ".join(map(shlex.quote, default)) if isinstance(default, tuple) else default
        notes.append(f"default: {shown}")
    return as_flags(declared.help) + (f" ({'; '.join(notes)})" if notes else "")


def _help_width() -> int:
    return min(shutil.get_terminal_size().columns, 120) - 2
