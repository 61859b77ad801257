"""From files and data sets to batches: examples, corpus, vocabulary, ids, padded arrays."""

import lazy_loader

# Each name is imported on first use: the embedded corpus needs no readers, and generation needs no corpus.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
