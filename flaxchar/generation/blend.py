"""Two models that write together: the logits of both, mixed.

A mixture of logits is a mixture of log-probabilities, since the two differ by a constant that the softmax removes. The
probability of a character is then proportional to p₁^(1 - w) p₂^w, the geometric mixture (Hinton 2002, products of
experts). A character is likely only where both models find it likely.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jax import Array
from jaxtyping import Float, Int

from flaxchar.config import InputError
from flaxchar.data.batches import AnyArray
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.arguments import check
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.trained import TrainedModel
from flaxchar.validation import shown

# Differences of two vocabularies that a message lists.
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class BlendedModel:
    """Two models of the same tokens, with the part of ``CharLM``'s interface that writing needs.

    Attributes:
      first: the model whose ids are fed and drawn.
      second: the other model, which may number the tokens otherwise.
    """

    first: CharLM
    second: CharLM

    @property
    def vocab(self) -> int:
        """Size of the vocabulary."""
        return self.first.vocab

    def initial_step_carry(self, batch: int, length: int) -> tuple:
        """The carries of both models before the first step."""
        return self.first.initial_step_carry(batch, length), self.second.initial_step_carry(batch, length)

    def apply(
        self, variables: dict[str, Any], ids: Int[AnyArray, " batch"], carry: tuple, method: str
    ) -> tuple[Float[Array, "batch vocab"], tuple]:
        """``CharLM.step`` of both models: mixed logits, float32 ``[batch, vocab]``, and both carries.

        Args:
          variables: ``{"params": …}``, as ``blended`` returns them.
          ids: int32 ``[batch]``.
          carry: as ``initial_step_carry``.
          method: ``"step"``.
        """
        params = variables["params"]
        ours, first = self.first.apply({"params": params["first"]}, ids, carry[0], method=method)
        theirs, second = self.second.apply({"params": params["second"]}, params["ids"][ids], carry[1], method=method)
        share = params["share"]
        return (1 - share) * ours + share * theirs[:, params["ids"]], (first, second)


AnyModel = CharLM | BlendedModel


def blended(first: TrainedModel, blend: tuple[TrainedModel, float] | None) -> tuple[AnyModel, Params]:
    """The blend of a model with another one, and its parameters.

    Args:
      first: the model whose vocabulary is used.
      blend: a model with the same tokens and labels, and the share of its logits, 0 to 1; None for no other model.

    Raises:
      InputError: ``blend`` is something else, or the vocabularies differ.
    """
    if blend is None:
        return first.model, first.params
    if not (isinstance(blend, tuple) and len(blend) == 2 and isinstance(blend[0], TrainedModel)):
        raise InputError(f"`blend` is {shown(blend)}; it must be a model and a share, such as (lm, 0.3)")
    second, share = blend
    check("blend", share, float, least=0, most=1)
    ids = _ids_of(first.vocabulary, second.vocabulary)
    if share == 0:
        return first.model, first.params
    params = {"first": first.params, "second": second.params, "ids": ids, "share": np.float32(share)}
    return BlendedModel(first.model, second.model), params


def _ids_of(ours: Vocabulary, theirs: Vocabulary) -> np.ndarray:
    """The second vocabulary's id of each id of the first, int32 ``[vocab]``."""
    if theirs.classifies:
        raise InputError("`blend` names a classifier, which does not write; name a language model")
    if (ours.unit, ours.word_rule) != (theirs.unit, theirs.word_rule):
        raise InputError("`blend` needs two models of one vocabulary; these cut texts into different tokens")
    # The ids of `<eos>`, and of the others that stand for no text.
    ids = {0: 0, ours.eos: theirs.eos}
    for what, here, there in (
        ("sources", ours.source_end, theirs.source_end),
        ("an unknown token", ours.unknown, theirs.unknown),
    ):
        if (here is None) != (there is None):
            raise _different(what, there is None)
        if here is not None and there is not None:
            ids[here] = there
    for what, names, numbers in (
        ("labels", _labels(ours), _labels(theirs)),
        ("tokens", _tokens(ours), _tokens(theirs)),
    ):
        for differing in (sorted(numbers.keys() - names.keys()), sorted(names.keys() - numbers.keys())):
            if differing:
                listed = ", ".join(map(repr, differing[:_SHOWN])) + (" …" if len(differing) > _SHOWN else "")
                raise _different(f"the {what} {listed}", differing[0] in names)
        ids |= {number: numbers[name] for name, number in names.items()}
    return np.array([ids[number] for number in range(ours.size)], np.int32)


def _different(what: str, lacking: bool) -> InputError:
    """The refusal of a second model that lacks something, or that alone has it."""
    found = "the model that it names lacks" if lacking else "only the model that it names has"
    return InputError(f"`blend` needs two models of one vocabulary; {found} {what}")


def _labels(vocabulary: Vocabulary) -> dict[str, int]:
    return dict(zip(vocabulary.labels, vocabulary.label_ids, strict=True))


def _tokens(vocabulary: Vocabulary) -> dict[str, int]:
    return {token: number for number, token in enumerate(vocabulary.tokens, start=1) if token is not None}
