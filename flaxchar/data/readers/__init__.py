"""From files to examples: decompress, decode, and read plain text, tables, JSON or Parquet."""

import lazy_loader

# Each name is imported on first use, because the embedded corpus needs no readers.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
