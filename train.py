"""Train a language model on texts and see what it writes: ``python train.py --help``."""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where the process was started to ignore it
        # Until `main` listens, Ctrl-C ends the process without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from flaxchar.commands.main import run
    except ModuleNotFoundError as error:
        sys.exit(f"flaxchar: {error}; activate the virtual environment, or install flaxchar with `pip install -e .`")

    run(["train", *sys.argv[1:]])
