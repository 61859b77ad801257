"""``flaxchar`` and ``python -m flaxchar``: begin a command."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run a command, and end the process with its exit status."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where the process was started to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command listens, Ctrl-C ends it without a traceback
    from flaxchar.commands.main import run

    run()


if __name__ == "__main__":
    main()
