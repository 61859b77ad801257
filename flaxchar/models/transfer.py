"""Transfer: parameters of a new model that begin as those of a trained one, character by character."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.data.vocabulary import PAD, Vocabulary
from flaxchar.models.charlm import Params
from flaxchar.models.trained import TrainedModel

# Tokens that are listed in a sentence.
_SHOWN = 8


class Transfer(NamedTuple):
    """What one model takes over from another.

    Attributes:
      params: the parameters of the new model.
      sentence: what was taken over and what starts fresh, for people; without a full stop.
    """

    params: Params
    sentence: str


def transfer(trained: TrainedModel, vocabulary: Vocabulary, fresh: Params, same_head: bool = True) -> Transfer:
    """Take over the parameters of a trained model.

    The rows of tokens, labels and special ids that both vocabularies hold are copied by name, not by id. New ones keep
    their fresh embedding. In the output layer they start from the mean of the known ones, so that they are neither
    more nor less probable than an average character (Hewitt 2021,
    https://nlp.stanford.edu/~johnhew/vocab-expansion.html).

    Args:
      trained: the trained model, of the same network.
      vocabulary: the vocabulary of the new model.
      fresh: fresh parameters of the new model.
      same_head: whether both predict the same kind of thing; otherwise the output layer starts fresh.

    Example::

        transfer(lm, vocabulary, init_params(make_model(vocabulary, lm.config.model), key)).params
    """
    new, old = (np.array(ids) for ids in zip(*_shared_ids(vocabulary, trained.vocabulary), strict=True))
    layers = trained.config.model.layers
    cell, by_token = trained.config.model.cell, "embedding" not in fresh

    theirs = {
        tuple(part.key for part in path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(trained.params)
    }

    def take(path: tuple, leaf: jax.Array) -> jax.Array:
        names = tuple(part.key for part in path)
        if names[0] == "logits" and not same_head:
            return leaf
        if names not in theirs:
            return leaf  # such as attention, in a model with sources that begins as one without
        given = theirs[names]
        if names[0] == "logits":
            known = given[..., old]
            rows = np.repeat(known.mean(-1, keepdims=True), leaf.shape[-1], -1)
            rows[..., new] = known
        elif names[0] == "embedding" or (by_token and names == (f"{cell}_0", "kernel")):
            rows = np.array(leaf)
            rows[new] = given[old]
        else:
            rows = given
        return jnp.array(rows, leaf.dtype, copy=True)

    params = jax.tree_util.tree_map_with_path(take, fresh)
    missing = sorted(set(fresh) - set(trained.params))
    return Transfer(params, _describe(vocabulary, trained.vocabulary, layers, same_head, bool(missing)))


def _shared_ids(new: Vocabulary, old: Vocabulary) -> list[tuple[int, int]]:
    """``(id in new, id in old)`` of everything that both vocabularies hold."""
    pairs = [(PAD, PAD), (new.eos, old.eos)]
    for token in new.tokens:
        if token is not None and (known := old.id_of(token)) is not None:
            pairs.append((new.id_of(token) or PAD, known))
    pairs += [(new.label_id(name), old.label_id(name)) for name in new.labels if name in old.labels]
    for one, other in ((new.source_end, old.source_end), (new.unknown, old.unknown)):
        if one is not None and other is not None:
            pairs.append((one, other))
    return pairs


def _describe(new: Vocabulary, old: Vocabulary, layers: int, same_head: bool, more: bool) -> str:
    unit = "characters" if new.unit == "char" else "words"
    tokens = [token for token in new.tokens if token is not None]
    fresh = [token for token in tokens if old.id_of(token) is None]
    stack = f"all {layers} layers" if layers > 1 else "the layer"
    taken = f"{len(tokens) - len(fresh):,} of {len(tokens):,} {unit}, {stack}"
    starting = []
    if fresh:
        shown = ", ".join(map(repr, fresh[:_SHOWN])) + (", …" if len(fresh) > _SHOWN else "")
        one = unit[:-1] if len(fresh) == 1 else unit
        starting.append(f"{len(fresh):,} new {one} ({shown})")
    if labels := [name for name in new.labels if name not in old.labels]:
        starting.append(f"{len(labels):,} label{'s' * (len(labels) > 1)}")
    if more:
        starting.append("the attention to sources")
    if not same_head:
        starting.append("the output layer")
    return taken + (f"; fresh: {', '.join(starting)}" if starting else "")
