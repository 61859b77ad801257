"""From files and data sets to batches: examples, corpus, vocabulary, ids, padded arrays."""

import lazy_loader

# Each name is imported when it is first used: a model of headlines needs no readers, and writing needs no corpus.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
