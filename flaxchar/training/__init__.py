"""From batches to trained parameters: optimizer, training step, loop, plan, evaluation and run directory."""

import lazy_loader

# Each name is imported on first use, because generation needs no optimizer.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
