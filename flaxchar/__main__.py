"""``python -m flaxchar``: the same as the command ``flaxchar``."""

import sys

from flaxchar.cli import main

sys.exit(main())
