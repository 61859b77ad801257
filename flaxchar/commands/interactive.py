"""``flaxchar sample --interactive``: a prompt with history and completion, by prompt_toolkit."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flaxchar.commands.dialogue import ACTIONS, COMMANDS, Dialogue, Quit, explain
from flaxchar.commands.signals import Interrupted
from flaxchar.commands.writing import SampleOptions
from flaxchar.config import InputError, missing_extra

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from flaxchar.language_model import LanguageModel

_GREETING = "Write how a text begins. /help lists the commands, Ctrl-D leaves."


def interact(lm: LanguageModel, options: SampleOptions) -> None:
    """Read beginnings and commands until the input ends, and print the answers while they are written.

    In a terminal, prompt_toolkit reads the lines. Other input is read line by line.
    """
    dialogue = Dialogue(lm, options)
    if sys.stdin.isatty():
        session = make_session(dialogue)
        print(_GREETING)
        ask: Callable[[], str] = session.prompt
    else:
        ask = _read_line
    with _ctrl_c_raises():
        while True:
            try:
                line = ask()
            except Interrupted:  # SIGTERM or SIGHUP
                raise
            except KeyboardInterrupt:  # clears the line
                continue
            except EOFError:
                return
            try:
                for piece in dialogue.answer(line):
                    print(piece, end="", flush=True)
            except Quit:
                return
            except InputError as error:
                print(f"! {explain(error)}", flush=True)
            except Interrupted:
                raise
            except KeyboardInterrupt:  # ends the text, not the program
                print(" …", flush=True)


def make_session(dialogue: Dialogue) -> PromptSession[str]:
    """The prompt of prompt_toolkit, with the lines of this session as its history.

    Raises:
      InputError: prompt_toolkit is not installed.
    """
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
    except ModuleNotFoundError:
        raise missing_extra("`interactive`", "prompt_toolkit", "interactive") from None
    commands = WordCompleter([*COMMANDS, *ACTIONS], sentence=True)
    return PromptSession("> ", completer=commands, bottom_toolbar=lambda: dialogue.status, complete_while_typing=False)


def _read_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


@contextlib.contextmanager
def _ctrl_c_raises() -> Iterator[None]:
    """Let each Ctrl-C raise ``KeyboardInterrupt``, not only the first one as in other commands."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
