"""``flaxchar`` and ``python -m flaxchar``: begin a command."""

import signal
import sys


def main() -> int:
    """Run a command and return the exit status."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where the process was started to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command listens, Ctrl-C ends it without a traceback
    from flaxchar.commands.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
