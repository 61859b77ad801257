"""Train a language model on texts and see what it writes: ``python train.py --help``."""

import sys

from flaxchar.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
