# The public names: lazy_loader imports each on first use (see __init__.py), and type checkers read this file. ASCII
# only, because lazy_loader reads it in the encoding of the locale.
from .files import expand as expand  # names and patterns -> names of files
from .files import read_files as read_files  # files -> chunks of examples
from .files import running_share as running_share  # the share of lines that look like running text
from .reading import Findings as Findings  # what was noticed while reading, for the report
from .reading import ReadOptions as ReadOptions  # how files are read
