"""``flaxchar report``: a page that shows what a trained model has learned."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from flaxchar.commands import process
from flaxchar.commands.options import DebugOptions, parse
from flaxchar.commands.output import print_line
from flaxchar.config import InputError
from flaxchar.validation import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions(DebugOptions):
    """Write a page about a run: one HTML file with its curves, samples, surprise, units, memory and embedding."""

    run: str = setting(dataclasses.MISSING, "Run directory of the model.", positional=True)
    output: str | None = setting(None, "File to write. Without it: report.html in the run directory.", metavar="FILE")
    label_field: str | None = setting(
        None,
        "Column or JSON key with the class of each text. With it, the report also searches for the unit that tells "
        "the class best, in a model that was trained without labels.",
        filled=True,
    )


def report(arguments: Sequence[str]) -> int:
    """Run ``flaxchar report`` and return the exit status."""
    options = parse(ReportOptions, "report", arguments).options
    path = Path(options.run)
    output = Path(options.output) if options.output is not None else path / "report.html"
    process.saved_config(options.run)  # a wrong folder is an error before anything is compiled
    if output.is_dir():
        raise InputError(f"`output` is {output}, which is a folder; name a file in it")
    if not output.absolute().parent.is_dir():
        raise InputError(f"`output` is {output}, but there is no folder {output.parent}")
    if not os.access(output.absolute().parent, os.W_OK):
        raise InputError(f"the folder {output.parent} cannot be written to; name a file in another one with `output`")
    process.start_kernel()

    from flaxchar.insight.findings import findings
    from flaxchar.insight.page import render
    from flaxchar.insight.report import make_report
    from flaxchar.storage import replace_file

    made = make_report(path, options.label_field)
    replace_file(output, render(made))
    for line in findings(made):
        print_line(line)
    print_line(f"written: {output} ({output.stat().st_size / 1e6:.2f} MB)")
    return 0
