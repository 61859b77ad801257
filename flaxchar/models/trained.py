"""The record of a trained model, from which generation and analysis start."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import CharLM, Params, make_model
from flaxchar.sizes import count_parameters


def all_finite(params: Params) -> bool:
    """Whether every parameter is a finite number."""
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))


@dataclasses.dataclass(eq=False, repr=False)
class TrainedModel:
    """The parameters of a model with their vocabulary and settings.

    Attributes:
      params: the parameters, a plain pytree of float32 arrays.
      vocabulary: text ↔ ids.
      config: all settings the model was trained with.

    Raises:
      InputError: the parameters are not as many as vocabulary and settings need.

    Example::

        trained = TrainedModel(params, vocabulary, config)
        logits, carry = trained.model.apply({"params": trained.params}, ids)
    """

    params: Params
    vocabulary: Vocabulary
    config: Config

    def __post_init__(self) -> None:
        expected = count_parameters(self.config.model, self.model.vocab, self.model.source_end is not None)
        found = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        if found != expected:  # the native decode loop would read beyond the arrays
            raise InputError(
                f"`params` holds {found:,} numbers, but `vocabulary` and `config` make a model of {expected:,}; give "
                "the three that belong together"
            )

    @functools.cached_property
    def model(self) -> CharLM:
        """The Flax module: ``model.apply({"params": params}, ids)``."""
        return make_model(self.vocabulary, self.config.model)

    def __repr__(self) -> str:
        """One line, because the parameters would fill pages."""
        settings = self.config.model
        return (
            f"<{type(self).__name__}: {settings.cell} of {settings.layers} × {settings.hidden} units, "
            f"{self.vocabulary.size} ids>"
        )
