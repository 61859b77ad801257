"""``flaxchar serve``: a page for some runs, and a JSON API, until Ctrl-C."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from flaxchar.commands import process, signals
from flaxchar.commands.options import DebugOptions, parse
from flaxchar.commands.output import print_line
from flaxchar.config import missing_extra
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.serve.server import PageServer


@dataclasses.dataclass(frozen=True)
class ServeOptions(DebugOptions):
    """Serve a page to write with models, score texts and watch units, also of runs that are still being trained."""

    runs: tuple[str, ...] = setting(("runs",), "Run directories.", positional=True)
    host: str = setting(
        "127.0.0.1",
        "Address to listen on. Any but a loopback address lets other machines in, which then need the token that is "
        "printed.",
        filled=True,
    )
    port: int | None = setting(None, "Port to listen on. Without it: 8321, or the next free one.", least=1, most=65535)


def serve(arguments: Sequence[str]) -> int:
    """Run ``flaxchar serve``; it ends with a signal."""
    options = parse(ServeOptions, "serve", arguments).options
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise missing_extra("serve", name, "serve")
    for run in options.runs:
        process.saved_config(run)  # a wrong folder is an error before anything is compiled
    process.start_kernel()

    from flaxchar.serve.server import PageServer

    server = PageServer([Path(run) for run in options.runs], options.host, options.port)
    print_line(f"flaxchar serves {', '.join(options.runs)} at {server.url} (Ctrl-C ends it)")
    if server.token is not None:
        print(
            f"whoever reaches {options.host} and knows this address can use the models; it is not encrypted",
            file=sys.stderr,
            flush=True,
        )
    number = _serve_until_signal(server)
    if number is not None:
        raise signals.Interrupted(number)
    return 0


def _serve_until_signal(server: PageServer) -> int | None:
    """Serve, and return the signal that has ended it. A second one ends the process at once."""
    numbers: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.next_one_ends_the_process()
        signals.leave_terminal(number)
        numbers.append(number)
        server.should_exit = True

    before = signals.handle(stop)
    try:
        server.run_until_stopped()
    finally:
        signals.restore(before)
    return numbers[0] if numbers else None
