"""``python -m flaxchar``: the same as the command ``flaxchar``."""

import sys

from flaxchar.commands.main import main

sys.exit(main())
