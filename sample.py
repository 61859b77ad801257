"""Write text with a trained model: ``python sample.py --help``."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` listens, Ctrl-C ends the process without a traceback
    from flaxchar.commands.main import main

    sys.exit(main(["sample", *sys.argv[1:]]))
