"""The weights of a plain model, independent of any format: embedding, recurrent layers, output layer.

A plain model has only layers that other libraries have too: an optional embedding, a stack of LSTM, GRU or RNN layers,
and a dense layer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import make_model, param_shapes
from flaxchar.models.trained import TrainedModel, all_finite, by_name
from flaxchar.settings import CellName

# One recurrent layer: ``kernel``, ``bias``, ``recurrent_kernel`` and, for a GRU, ``recurrent_bias``.
Layer = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a plain model, float32, in the layout of ``flaxchar.models.layers.RecurrentLayer``.

    Attributes:
      cell: ``"lstm"``, ``"gru"`` or ``"rnn"``.
      embedding: ``[vocab, embedding]``; None if the first layer reads one-hot vectors.
      layers: the recurrent layers, from the input to the output.
      kernel: the kernel of the output layer, ``[hidden, vocab]``.
      bias: the bias of the output layer, ``[vocab]``.
    """

    cell: CellName
    embedding: np.ndarray | None
    layers: tuple[Layer, ...]
    kernel: np.ndarray
    bias: np.ndarray


def plain_weights(trained: TrainedModel) -> Weights:
    """The weights of a trained model, which must be plain."""
    settings = trained.config.model
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), trained.params)
    return Weights(
        settings.cell,
        params.get("embedding"),
        tuple(params[f"{settings.cell}_{number}"] for number in range(settings.layers)),
        params["logits"]["kernel"],
        params["logits"]["bias"],
    )


def model_from(weights: Weights, vocabulary: Vocabulary, config: Config) -> TrainedModel:
    """Make a model from untrusted weights.

    Args:
      weights: the weights; their shapes need not fit together.
      vocabulary: the meaning of the ids.
      config: all settings; cell, layers and sizes are taken from the weights.

    Raises:
      InputError: the shapes do not fit together or do not fit the vocabulary, or a weight is not finite.
    """
    hidden = weights.layers[0]["recurrent_kernel"].shape[0]
    config = config.replace(
        cell=weights.cell,
        layers=len(weights.layers),
        hidden=hidden,
        embedding=0 if weights.embedding is None else weights.embedding.shape[-1],
        unit=vocabulary.unit,
    )
    params: dict[str, Any] = {f"{weights.cell}_{number}": layer for number, layer in enumerate(weights.layers)}
    params["logits"] = {"kernel": weights.kernel, "bias": weights.bias}
    if weights.embedding is not None:
        params["embedding"] = weights.embedding
    return checked_model(params, vocabulary, config)


def checked_model(params: dict[str, Any], vocabulary: Vocabulary, config: Config) -> TrainedModel:
    """Make a model from untrusted parameters.

    Args:
      params: nested dictionaries of arrays, of any shape.
      vocabulary: the meaning of the ids.
      config: all settings.

    Raises:
      InputError: names or shapes do not match the settings and the vocabulary, or a parameter is not finite.
    """
    config.validate(from_python=True, training=False)
    given = by_name(params)
    ids = given["logits.bias"].shape[-1] if given.get("logits.bias", np.zeros(())).ndim else 0
    if ids != vocabulary.size:
        raise InputError(
            f"the model has {ids:,} ids, but the vocabulary makes {vocabulary.size:,}: {len(vocabulary.tokens):,} "
            f"tokens,{' one for unknown tokens,' if vocabulary.has_unknown else ''} padding (id 0) and <eos> (the last "
            "id); give the vocabulary that the model was trained with"
        )
    expected = by_name(param_shapes(make_model(vocabulary, config.model)))
    for name, leaf in expected.items():
        if name not in given:
            raise InputError(f"the model has no {name}, which its other weights ask for")
        if given[name].shape != leaf.shape:
            raise InputError(f"{name} has the shape {list(given[name].shape)}; it must be {list(leaf.shape)}")
    if surplus := sorted(given.keys() - expected.keys()):
        raise InputError(f"the model has {surplus[0]:.60}, which flaxchar's model of these settings does not have")
    if not all_finite(params):
        raise InputError("the model holds weights that are not finite numbers: its training has diverged")
    params = jax.tree.map(lambda leaf: jnp.array(leaf, jnp.float32, copy=True), params)
    return TrainedModel(params, vocabulary, config)
