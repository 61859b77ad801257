"""Import a model that another program trained: weights of Keras or PyTorch, or flaxchar's own export."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.export.keras_files import MOST_WEIGHTS, read_keras
from flaxchar.export.keras_weights import weights_from_keras
from flaxchar.export.safetensors_file import model_from_own_names, read_safetensors
from flaxchar.export.torch_module import weights_from_torch
from flaxchar.export.vocabulary_file import read_vocabulary
from flaxchar.export.weights import model_from
from flaxchar.generation.arguments import check, check_path
from flaxchar.models.trained import TrainedModel
from flaxchar.presets import PRESETS
from flaxchar.sizes import in_bytes

_SUFFIXES = (".safetensors", ".h5", ".keras")
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


def read_model(path: Path, vocabulary: Path | Vocabulary | None = None, bos: bool | None = None) -> TrainedModel:
    """Read a model from a file that another program wrote. No code in the file is run.

    Args:
      path: ``.weights.h5`` or ``.keras`` of Keras 3, or ``.safetensors``: a PyTorch ``state_dict``, or flaxchar's own.
        A Keras or PyTorch model has an embedding or reads one-hot vectors, then has LSTM, GRU or simple RNN layers and
        a dense layer to logits.
      vocabulary: the meaning of the ids, as a file for ``read_vocabulary`` or a ``Vocabulary``; None if flaxchar wrote
        the file, which then has the vocabulary.
      bos: whether the model was trained with ``<eos>`` before each text; None for the value in the files, or False if
        they have none.

    Raises:
      InputError: the file is damaged or forged, has another kind of model, or does not fit the vocabulary.
    """
    check_path("file", path)
    if bos is not None:
        check("bos", bos, bool)
    config = PRESETS["reference"]
    if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        check_path("vocabulary", vocabulary)
        _check_regular(vocabulary, (".json",))
        vocabulary, saved = read_vocabulary(vocabulary)
        config = saved or config
    _check_regular(path, _SUFFIXES)
    if path.suffix.lower() in _PICKLES:
        raise InputError(
            f"{path} may hold a pickle, which runs code when it is read, so it is not read; save the state_dict with "
            "safetensors.torch.save_file"
        )
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path} has another ending than {', '.join(_SUFFIXES)}, the kinds of files that are read")
    description = None
    if path.suffix.lower() == ".safetensors":
        file = read_safetensors(path)
        if not any("weight_ih_l" in name for name in file.tensors):
            return model_from_own_names(file, path)
        weights, description = weights_from_torch(file.tensors, path), file.description
    else:
        weights = weights_from_keras(read_keras(path), path)
    if description is not None:
        config = description[0]
        vocabulary = description[1] if vocabulary is None else vocabulary
    if vocabulary is None:
        raise InputError(f"{path} does not say what its ids mean; give the `vocabulary` that it was trained with")
    if vocabulary.source_end is not None:
        raise InputError("the vocabulary has sources, which the reference model does not read")
    config = config.replace(residual=False, layer_norm=False)
    if bos is not None or vocabulary.labels:
        config = config.replace(bos=bool(bos) and not vocabulary.labels)
    return model_from(weights, vocabulary, config)


def _check_regular(path: Path, suffixes: tuple[str, ...]) -> None:
    """Check that a path is a regular file and not too large.

    Args:
      path: the path.
      suffixes: the endings of files to suggest if the path is a folder.

    Raises:
      InputError: the path is not such a file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        within = sorted(name for name in os.listdir(path) if name.lower().endswith(suffixes))
        raise InputError(f"{path} is a folder; name the file in it" + (f": {path / within[0]}" if within else ""))
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file")
    if status.st_size > MOST_WEIGHTS:
        raise InputError(f"{path} has {in_bytes(status.st_size)}; at most {in_bytes(MOST_WEIGHTS)} are read")
