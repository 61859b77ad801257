"""Export a trained model to files that other programs open. A model that a format cannot express is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from flaxchar.config import InputError
from flaxchar.export.html_page import html_bytes
from flaxchar.export.keras_weights import keras_files
from flaxchar.export.onnx_step import onnx_bytes
from flaxchar.export.safetensors_file import safetensors_bytes
from flaxchar.export.torch_module import torch_files
from flaxchar.generation.arguments import check, check_path
from flaxchar.models.trained import TrainedModel
from flaxchar.storage import StorageError, create_file, created_folder

ExportFormat = Literal["safetensors", "torch", "keras", "html", "onnx"]
# Appended to the name of a run, this is the name of its export: a folder for torch and keras, else a file.
SUFFIXES: dict[ExportFormat, str] = {
    "safetensors": ".safetensors",
    "torch": "-torch",
    "keras": "-keras",
    "html": ".html",
    "onnx": ".onnx",
}
_LIBRARIES = {"torch": "PyTorch", "keras": "Keras"}
# The cells for which PyTorch and Keras have a layer.
_COMMON_CELLS = ("lstm", "gru", "rnn")


def export_model(trained: TrainedModel, path: Path, to: ExportFormat) -> None:
    """Write a model in a format that other programs read.

    Args:
      trained: the model.
      path: a new file, or for ``"torch"`` and ``"keras"`` a new folder.
      to: the format.

    Raises:
      InputError: the format cannot express the model, its library is not installed, or the path exists or has no
        folder.
      StorageError: the files cannot be written.

    Example::

        export_model(lm, Path("headlines.html"), "html")
    """
    check("to", to, ExportFormat)
    check_path("path", path)
    if (reason := cannot_express(trained, to)) is not None:
        raise InputError(f'{reason}; `to="safetensors"` takes every model')
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} exists already; move it away, or name another place for the export")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} in")
    try:
        match to:
            case "torch":
                _create(path, torch_files(trained))
            case "keras":
                _create(path, keras_files(trained))
            case "safetensors":
                create_file(path, safetensors_bytes(trained))
            case "html":
                create_file(path, html_bytes(trained, path.stem))
            case "onnx":
                create_file(path, onnx_bytes(trained))
    except FileExistsError:
        raise InputError(f"{path} has just been made by another process; name another place for the export") from None
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def cannot_express(trained: TrainedModel, to: ExportFormat) -> str | None:
    """The reason why a format cannot express a model, in a sentence; None if it can."""
    assert to in get_args(ExportFormat)
    settings, vocabulary = trained.config.model, trained.vocabulary
    if to == "safetensors":
        return None
    if vocabulary.classifies:
        return f"{to} is for models that predict the next character, and this model names the label of a text"
    if vocabulary.source_end is not None:
        return f"{to} has no way to express attention to a source, which this model was trained with"
    if to == "html" and vocabulary.unit == "word":
        return "the page of html reads and writes characters, and this is a model of words"
    if to in _LIBRARIES:
        library = _LIBRARIES[to]
        if settings.cell not in _COMMON_CELLS:
            return f"{library} has no layer for the cell {settings.cell}, which html and onnx can express"
        if settings.residual:
            return f"{library}'s recurrent layers have no residual connections, which html and onnx can express"
        if settings.layer_norm:
            return f"{library}'s recurrent layers have no LayerNorm between them, which html and onnx can express"
    return None


def _create(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files: all of them, or no folder."""
    with created_folder(path) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
