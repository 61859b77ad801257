"""Words: the rules that cut a text into words; joined, the words are the text."""

from __future__ import annotations

import functools
import re
from typing import Literal

# uax29: Unicode's word boundaries. runs: how runs of flaxchar 0.1 cut, whose vocabularies were made that way.
WordRule = Literal["uax29", "runs"]

# Runs of letters and digits, runs of white space, and every other character by itself.
_RUNS = re.compile(r"\w+|\s+|[^\w\s]")
# White space that ends at a word boundary is one token however much it is; Unicode's rules would cut at each tab and
# line feed. U+202F is left to the rules: it joins words. Why: docs/decisions/words.md.
_UAX29 = r"(?w)[^\S\u202f]+\b|.+?\b"


@functools.cache
def word_pattern(rule: WordRule) -> re.Pattern[str]:
    """A regular expression that matches one word after another; every character of a text is in a match.

    Args:
      rule: ``"uax29"`` for Unicode's default word boundaries (https://unicode.org/reports/tr29/), with white space kept
        together; ``"runs"`` for runs of letters and digits, which are cut at combining marks and apostrophes.

    Example::

        word_pattern("uax29").findall("Don't wait, Zoë")  # ["Don't", " ", "wait", ",", " ", "Zoë"]
    """
    if rule == "runs":
        return _RUNS
    import regex  # slow to import, and needed by models of words only

    return regex.compile(_UAX29, regex.DOTALL)
