"""Lines of a file that is read a block at a time."""

from __future__ import annotations

from collections.abc import Iterator


def lines_of(blocks: Iterator[str]) -> Iterator[list[str]]:
    """The lines of a file, as many at a time as a block has; a last newline ends a line, it does not begin one."""
    begun: list[str] = []
    for block in blocks:
        *whole, last = block.split("\n")
        if whole:
            whole[0] = "".join([*begun, whole[0]])
            begun = []
            yield whole
        begun.append(last)
    if rest := "".join(begun):
        yield [rest]
