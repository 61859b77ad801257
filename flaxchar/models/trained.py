"""The record of a trained model, from which generation and analysis start."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import CharLM, Params, make_model, param_shapes
from flaxchar.validation import shown


def all_finite(params: Params) -> bool:
    """Whether every parameter is a finite number."""
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))


def _mismatch(params: Any, model: CharLM) -> str | None:
    """The first difference between parameters and those of a model, in words; None if there is none."""
    expected, found = by_name(param_shapes(model)), by_name(params)
    for name in [*expected, *found]:
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} belongs to no layer"
        shape, dtype = (getattr(found[name], each, None) for each in ("shape", "dtype"))
        if shape != expected[name].shape:
            return f"{name} has the shape {shape}, not {expected[name].shape}"
        if dtype != expected[name].dtype:
            return f"{name} is an array of {dtype}, not of {expected[name].dtype}"
    return None


def by_name(params: Any) -> dict[str, Any]:
    """The leaves of a pytree of parameters by name, joined with dots: ``lstm_0.kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator=".") or "it": leaf for path, leaf in leaves}


@dataclasses.dataclass(eq=False, repr=False)
class TrainedModel:
    """The parameters of a model with their vocabulary and settings.

    Attributes:
      params: the parameters, a plain pytree of float32 arrays.
      vocabulary: text ↔ ids.
      config: all settings the model was trained with.

    Raises:
      InputError: a parameter is missing, is none of the model's, or has another shape or dtype than vocabulary and
        settings give it; or the vocabulary or the settings are of another type.

    Example::

        trained = TrainedModel(params, vocabulary, config)
        logits, carry = trained.model.apply({"params": trained.params}, ids)
    """

    params: Params
    vocabulary: Vocabulary
    config: Config

    def __post_init__(self) -> None:
        for name, kind in (("vocabulary", Vocabulary), ("config", Config)):
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"`{name}` is {shown(getattr(self, name))}; it must be a flaxchar.{kind.__name__}")
        # The native decode loop reads the arrays by the sizes that the settings give, without a check.
        if (problem := _mismatch(self.params, self.model)) is not None:
            raise InputError(
                f"`params` is of another model than `vocabulary` and `config`: {problem}; give the three that belong "
                "together"
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
