"""The dialogue of ``sample --interactive``: what a line of input means, and what is written in answer."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from flaxchar.commands.flags import as_flags, flag
from flaxchar.commands.options import convert
from flaxchar.commands.writing import ARGUMENTS, SampleOptions, drawing
from flaxchar.config import InputError
from flaxchar.validation import describe, problems, types_of

if TYPE_CHECKING:
    from flaxchar.language_model import LanguageModel

# The commands that change no setting.
ACTIONS = {
    "/settings": "show the settings",
    "/undo": "take back the last text or setting",
    "/help": "show this help",
    "/quit": "leave; so does Ctrl-D",
}
# The commands that change a setting, and its name.
COMMANDS = {"/" + flag(name).removeprefix("--"): name for name in ARGUMENTS}
_HELP = (
    "A line is how a text begins. An empty line asks for another text of the same beginning.\n"
    "A command changes a setting; without a value it goes back to the start. Quotes keep spaces: /stop '. '"
)
_FIELDS = {field.name: field for field in dataclasses.fields(SampleOptions)}


class Quit(Exception):
    """The user wants to leave."""


class _Moment(NamedTuple):
    """What ``/undo`` goes back to.

    Attributes:
      options: the settings.
      prompt: how the last text began.
      number: the number of the next text with that beginning.
      done: what was done last, for the message of ``/undo``.
    """

    options: SampleOptions
    prompt: str = ""
    number: int = 0
    done: str = ""


class Dialogue:
    """Answers lines of input: texts that begin with them, or commands that change the settings."""

    def __init__(self, lm: LanguageModel, options: SampleOptions) -> None:
        self._lm = lm
        self._defaults = options
        self._moments = [_Moment(options)]
        drawing(options)  # a blend that cannot be loaded is an error at once

    def answer(self, line: str) -> Iterator[str]:
        """The answer to a line, in pieces while it is written; a whole line in the end.

        A line is how a text begins, or a command that begins with ``/``. An empty line asks for another text of the
        last beginning. ``//`` begins a text with ``/``.

        Raises:
          InputError: the line cannot be used; nothing has changed then.
          Quit: the line is ``/quit``.
        """
        if line.startswith("/") and not line.startswith("//"):
            command, _, value = line.partition(" ")
            yield self._command(command.lower().replace("_", "-"), value.strip()) + "\n"
            return
        now = self._moments[-1]
        prompt = line.removeprefix("/") if line.startswith("//") else line
        number = now.number if prompt in ("", now.prompt) else 0
        prompt = prompt or now.prompt
        pieces = self._lm.stream(prompt, sample=number, **drawing(now.options))
        self._moments.append(_Moment(now.options, prompt, number + 1, f"the text after {prompt!r:.60}"))
        yield from pieces
        yield "\n"

    @property
    def status(self) -> str:
        """The settings in one line."""
        options = self._moments[-1].options
        changed = [name for name in ARGUMENTS if getattr(options, name) != _FIELDS[name].default]
        shown = dict.fromkeys(["temperature", "size", *changed])
        return " · ".join(f"{flag(name).removeprefix('--')} {_written(getattr(options, name))}" for name in shown)

    def _command(self, command: str, value: str) -> str:
        if command in COMMANDS:
            return self._set(COMMANDS[command], value)
        if command not in ACTIONS:
            raise InputError(f"there is no command {command:.40}; /help lists them")
        if command == "/quit":
            raise Quit
        if command == "/settings":
            return self.status
        if command == "/undo":
            return self._undo()
        return _HELP + "\n\n" + _commands()

    def _set(self, name: str, value: str) -> str:
        """Change a setting; without a value, back to what it was at the start."""
        now = self._moments[-1]
        new = (
            getattr(self._defaults, name) if value == "" else convert(_unquoted(value), *types_of(SampleOptions)[name])
        )
        options = dataclasses.replace(now.options, **{name: new})
        for problem in problems(options):
            raise InputError(problem)
        refusal = self._refusal(drawing(options))
        # Where the settings before could not write either, a label or a source is still to come.
        if refusal is not None and self._refusal(drawing(now.options)) is None:
            raise refusal
        self._moments.append(now._replace(options=options, done=f"{flag(name).removeprefix('--')} {_written(new)}"))
        return self.status

    def _refusal(self, arguments: dict[str, Any]) -> InputError | None:
        """Why the model cannot write with these arguments; None where it can."""
        try:
            self._lm.stream(**arguments)  # checks its arguments at once, and writes nothing yet
        except InputError as error:
            return error
        return None

    def _undo(self) -> str:
        if len(self._moments) == 1:
            raise InputError("there is nothing to take back")
        done = self._moments.pop().done
        return f"took back {done}; {self.status}"


def explain(error: InputError) -> str:
    """The message of an error, which names settings as the commands that change them."""
    flags = "|".join(command.removeprefix("/") for command in COMMANDS)
    return re.sub(rf"--({flags})\b", r"/\1", as_flags(str(error)))


def _commands() -> str:
    width = min(shutil.get_terminal_size().columns, 120) - 1
    column = max(map(len, COMMANDS)) + 4
    entries = {command: describe(_FIELDS[name]).help for command, name in COMMANDS.items()} | ACTIONS
    return "\n".join(
        textwrap.fill(f"  {command:<{column - 2}}{meaning}", width, subsequent_indent=" " * column)
        for command, meaning in entries.items()
    )


def _unquoted(value: str) -> str:
    r"""A value without the quotes around it; between them, an escape such as ``\n`` means what it means to Python."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        try:
            return str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            return value
    return value


def _written(value: Any) -> str:
    if isinstance(value, str):  # repr shows a line feed as \\n, which /stop reads
        return shlex.quote(value) if value.isprintable() else repr(value)
    return "off" if value is None else f"{value:g}"
