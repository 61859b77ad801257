"""From files of every kind to examples: unpacked, decoded, and read as plain text, tables, JSON or Parquet."""

from flaxchar.data.readers.files import read_files
from flaxchar.data.readers.reading import Findings, ReadOptions

__all__ = ["Findings", "ReadOptions", "read_files"]
