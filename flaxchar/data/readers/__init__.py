"""From files of every kind to examples: unpacked, decoded, and read as plain text, tables, JSON or Parquet."""

import lazy_loader

# Each name is imported when it is first used: headlines need no readers.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
