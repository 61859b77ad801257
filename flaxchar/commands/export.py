"""``flaxchar export``: a trained model in a format that other programs read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from flaxchar.commands import process
from flaxchar.commands.options import DebugOptions, parse
from flaxchar.commands.output import print_line
from flaxchar.config import InputError
from flaxchar.sizes import in_bytes
from flaxchar.validation import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(DebugOptions):
    """Write a trained model in a format that other programs read. docs/export.md describes each format.

    safetensors, html and onnx make a file, torch and keras a folder. The run itself is not changed.
    """

    run: str = setting(dataclasses.MISSING, "Run directory of the model.", positional=True)
    to: Literal["safetensors", "torch", "keras", "html", "onnx"] | None = setting(
        None,
        "safetensors: the weights, with settings and vocabulary; torch, keras: weights under the names of PyTorch or "
        "Keras, and a model.py that loads them; html: one offline page that writes, scores and shows units; onnx: one "
        "step as a graph.",
        required=True,
        metavar="FORMAT",
    )
    output: str | None = setting(
        None,
        "File or folder to make, which must not exist. Without it: the name of the run with .safetensors, .html, "
        ".onnx, -torch or -keras added.",
        metavar="PATH",
    )


def export(arguments: Sequence[str]) -> int:
    """Run ``flaxchar export`` and return the exit status."""
    options = parse(ExportOptions, "export", arguments).options
    if options.to is None:
        raise InputError("`to` says in which format: safetensors, torch, keras, html or onnx")
    process.saved_config(options.run)  # a wrong folder is an error before JAX loads a model

    from flaxchar.export.exporting import SUFFIXES
    from flaxchar.library import load

    run = Path(options.run)
    output = Path(options.output) if options.output is not None else run.with_name(run.name + SUFFIXES[options.to])
    load(run).export(output, to=options.to)
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    size = sum(file.stat().st_size for file in files)
    names = f": {', '.join(file.name for file in files)}" if output.is_dir() else ""
    print_line(f"{output}: {in_bytes(size)}{names}")
    return 0
