"""The command line: runs a command, returns its exit status, and prints an error as one sentence."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TextIO

from flaxchar.commands import signals

SUMMARIES = {
    "train": "train a language model on texts and see what it writes",
    "sample": "write texts with a trained model",
    "score": "bits per character of texts under a model",
    "classify": "name the label of texts, with a model trained with --label-field",
    "compress": "compress a text file with a model",
    "decompress": "restore a compressed text file",
    "compare": "train a grid of settings on the same texts and rank the results",
    "export": "write a model in a format that other programs read",
    "import": "make a run of a model that Keras or PyTorch trained",
    "report": "write a page that shows what a model has learned",
    "serve": "serve a page to write with models and look inside them, and a JSON API",
    "novelty": "how much of what a model writes is copied from its training texts",
}
_USAGE = (
    "usage: flaxchar COMMAND [OPTIONS]\n\ncommands:\n"
    + "".join(f"  {name:<10}  {summary}\n" for name, summary in SUMMARIES.items())
    + "\nflaxchar COMMAND --help shows the options of a command."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    Returns:
      0 for success, 1 if the work failed, 2 for bad usage or input, 128 + the signal if a signal ended the command.
    """
    with signals.listen():  # first, because a user may press Ctrl-C during the imports below
        try:
            return _main(sys.argv[1:] if arguments is None else list(arguments))
        except KeyboardInterrupt as error:
            return signals.say_interrupted(error)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and end the process with its exit status."""
    status = [1]
    atexit.register(_end_process, status)  # first, because exit handlers run in reverse order
    try:
        status[0] = main(arguments)
    except SystemExit as ending:  # after --help
        status[0] = ending.code if isinstance(ending.code, int) else 0
    sys.exit(status[0])


def _end_process(status: list[int]) -> None:
    """End the process without finalizing Python's interpreter.

    After Ctrl-C, threads may still compile or compute in native code, and may crash while the interpreter is finalized.
    A segmentation fault after the last line of a command was seen once in hundreds of runs (docs/reliability.md).
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the reader has closed the pipe, or the disk is full
            status[0] = status[0] or 1
    os._exit(status[0])


def _main(arguments: list[str]) -> int:
    """Run a command, and turn errors into one sentence and an exit status."""
    from flaxchar.commands import process
    from flaxchar.commands.flags import as_flags
    from flaxchar.commands.output import escape_unencodable, form_warnings
    from flaxchar.config import InputError, TrainingDiverged
    from flaxchar.storage import StorageError

    escape_unencodable()
    process.collect_garbage_less_often()
    try:
        with form_warnings():
            status = _run(arguments[0], arguments[1:]) if arguments else _print_usage(sys.stderr, 2)
        sys.stdout.flush()  # an error such as a full disk may appear only now
        return status
    except InputError as error:
        return _fail(as_flags(str(error)), 2, arguments)
    except TrainingDiverged as error:
        return _fail(as_flags(str(error)), 1, arguments)
    except BrokenPipeError:
        # The reader has closed the pipe, such as head(1): discard what is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except StorageError as error:
        return _fail(as_flags(str(error)), 1, arguments)
    except OSError as error:
        reason = error.strerror or (str(error).strip() or type(error).__name__).splitlines()[0]
        where = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
        return _fail(f"{where}{reason} (--debug shows where)", 1, arguments)
    except Exception as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return _fail(f"{type(error).__name__}: {reason} (--debug shows where)", 1, arguments)


def _print_usage(stream: TextIO, status: int) -> int:
    print(_USAGE, file=stream)
    return status


def _run(name: str, arguments: Sequence[str]) -> int:
    """Run a command. Only its own module is imported, so that errors and help come at once."""
    match name:
        case "-h" | "--help":
            return _print_usage(sys.stdout, 0)
        case "train":
            from flaxchar.commands.train import train as command
        case "sample":
            from flaxchar.commands.sample import sample as command
        case "score":
            from flaxchar.commands.score import score as command
        case "classify":
            from flaxchar.commands.classify import classify as command
        case "compress":
            from flaxchar.commands.compress import compress as command
        case "decompress":
            from flaxchar.commands.compress import decompress as command
        case "compare":
            from flaxchar.commands.compare import compare as command
        case "report":
            from flaxchar.commands.report import report as command
        case "novelty":
            from flaxchar.commands.novelty import novelty as command
        case "export":
            from flaxchar.commands.export import export as command
        case "import":
            from flaxchar.commands.import_ import import_model as command
        case "serve":
            from flaxchar.commands.serve import serve as command
        case _:
            import difflib

            from flaxchar.config import InputError
            from flaxchar.validation import shown

            near = difflib.get_close_matches(name, SUMMARIES, 1)
            advice = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(SUMMARIES)}"
            raise InputError(f"there is no command {shown(name)}; {advice}")
    return command(arguments)


def _fail(message: str, status: int, arguments: Sequence[str]) -> int:
    """Print an error as one sentence, or re-raise it with ``--debug``. Call it in the ``except`` block."""
    if "--debug" in arguments:
        raise  # noqa: PLE0704
    from flaxchar.commands.output import printable

    print(f"flaxchar: {printable(message)}", file=sys.stderr)
    return status
