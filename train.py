"""Train a language model on texts and see what it writes: ``python train.py --help``."""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where the process was started to ignore it
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # until `main` listens, Ctrl-C ends the process without a traceback
    from flaxchar.commands.main import run

    run(["train", *sys.argv[1:]])
