"""``flaxchar import``: a run directory of a model that Keras or PyTorch trained."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from flaxchar.commands import process
from flaxchar.commands.options import ModelOptions, parse
from flaxchar.commands.output import print_line
from flaxchar.config import InputError
from flaxchar.validation import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions(ModelOptions):
    """Make a run directory of a model that Keras or PyTorch trained: embedding or one-hot, LSTM, GRU or RNN, dense.

    Nothing in the file is run, and pickles are not read. docs/export.md says which models can be read.
    """

    file: str = setting(
        dataclasses.MISSING,
        ".weights.h5 or .keras of Keras 3, or a PyTorch state_dict in .safetensors.",
        positional=True,
    )
    vocabulary: str | None = setting(
        None,
        "JSON file with the characters in the order of their ids from 1: a list, an object of characters and ids, or a "
        "vocabulary.json. Not needed for a .safetensors file that flaxchar exported.",
        metavar="FILE",
    )
    workdir: str = setting("runs", "Run directory to make. It must not hold a run yet.", metavar="DIR")
    bos: bool = setting(
        False, "Whether the model was trained with <eos> before each text. A file that flaxchar exported says so."
    )


def import_model(arguments: Sequence[str]) -> int:
    """Run ``flaxchar import`` and return the exit status."""
    options, _, given = parse(ImportOptions, "import", arguments)
    process.set_up()

    from flaxchar import library
    from flaxchar.models.charlm import count_params
    from flaxchar.training.folders import check_free
    from flaxchar.training.run_directory import Run
    from flaxchar.validation import counted

    path = Path(options.workdir)
    if Run.exists(path):
        raise InputError(f"{path} already holds a run; name another folder with `workdir`")
    check_free(path)
    bos = options.bos if "bos" in given else None
    lm = library.import_model(options.file, vocabulary=options.vocabulary, bos=bos)
    lm.save(path)
    folder = shlex.quote(str(path))
    print_line(f"{path}: {lm!r}, {counted(count_params(lm.params), 'parameter')}")
    print_line(f"to write: python sample.py --workdir {folder}")
    print_line(f"to train it further: python train.py --data FILE --init-from {folder} --workdir ANOTHER")
    return 0
