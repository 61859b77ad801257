"""Write text with a trained model: ``python sample.py --help``."""

import sys

from flaxchar.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["sample", *sys.argv[1:]]))
