"""The parser of a command's arguments: its flags, their help, and complaints that name the way out."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import os
import re
import shlex
import shutil
from collections.abc import Collection, Sequence
from typing import Any, Literal, NoReturn, get_args, get_origin

from flaxchar.commands.flags import SETTINGS, as_flags, flag
from flaxchar.config import InputError
from flaxchar.presets import describe_by_corpus
from flaxchar.validation import Setting, describe, shown, types_of

# Stands before an argument that begins with a dash and is a value. No argument of a process can hold this character.
VALUE = "\0"
# Characters of an unknown option that are shown.
_SHOWN = 60
# The beginning of a flag tells which one is meant, if it has more characters than this, the dashes included.
_SHORTEST_BEGINNING = 4
# What looks like a flag, as -The and --- do not.
_FLAG_LIKE = re.compile(r"--[a-z][a-z-]*(=.*)?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """The flags of a command, under the headings of its help. Values stay strings; what is not given stays away."""

    def __init__(self, kind: type, sections: Sequence[Any], command: str, several: Collection[str]) -> None:
        """``sections`` hold the defaults of the settings."""
        super().__init__(
            prog=f"flaxchar {command}",
            description=as_flags(" ".join((kind.__doc__ or "").split())),
            usage=f"flaxchar {command} {_usage(kind)}[OPTIONS]",
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
        self.flags += ["-h", "--help"]

    def mark_values(self, arguments: Sequence[str]) -> list[str]:
        """Mark the arguments that begin with a dash and are values: argparse takes them for flags.

        Raises:
          InputError: a flag stands where the flag before it needs a value.
        """
        result: list[str] = []
        taker, needs, many = "", False, False  # the flag that takes the next argument, whether it must, or takes more
        for argument in arguments:
            name = argument.partition("=")[0]
            is_flag = name in self._option_string_actions
            if needs and (is_flag or argument == "--" or _FLAG_LIKE.fullmatch(argument)):
                raise InputError(f"{taker} needs a value; if {argument:.60} is the value, write {taker}={argument:.60}")
            if is_flag:
                nargs = self._option_string_actions[name].nargs
                taker = "" if nargs == 0 or "=" in argument else name
                needs, many = bool(taker) and nargs != "*", nargs in ("*", "+")
                result.append(argument)
                continue
            dashed = argument.startswith("-") and argument != "-"
            is_value = needs or (taker and not argument.startswith("--"))
            result.append(VALUE + argument if dashed and is_value else argument)
            taker, needs = taker if many else "", False
        return result

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
            return f"{shown(argument)} belongs to no option; {advice}"
        if os.path.exists(argument):
            return (
                f"{self.prog} has no option {argument}; for the file of that name write {os.path.join('.', argument)}"
            )
        begun = sorted(flag for flag in self.flags if len(name) > _SHORTEST_BEGINNING and flag.startswith(name))
        near = begun[:1] or difflib.get_close_matches(name, self.flags, 1)
        advice = f"did you mean {near[0]}?" if near else f"{self.prog} --help lists the options"
        return f"{self.prog} has no option {name[:_SHOWN]}{'…' if len(name) > _SHOWN else ''}; {advice}"


def _usage(kind: type) -> str:
    """The arguments that a command takes without a flag, and the flags that it needs."""
    result = ""
    for field in dataclasses.fields(kind):
        declared, name = describe(field), field.name.upper()
        if declared.positional:
            result += f"[{name} ...] " if get_origin(types_of(kind)[field.name][0]) is tuple else f"{name} "
        elif declared.required:
            result += f"{flag(field.name)} {declared.metavar} "
    return result


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
