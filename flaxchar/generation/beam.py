"""Beam search: the most probable text, as far as a few candidates at a time can tell."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax import Array

from flaxchar.config import InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.decode import lead_in
from flaxchar.models.charlm import CharLM, Params


@functools.partial(jax.jit, static_argnums=0)
def _step(model: CharLM, params: Params, carry: tuple, parents: Array, ids: Array) -> tuple[Array, tuple]:
    """Feed each beam a token ``[beams]``, after beam ``parents`` ``[beams]``: log-probabilities, and the carry."""
    carry = jax.tree.map(lambda state: state[parents], carry)
    logits, carry = model.apply({"params": params}, ids, carry, method="step")
    return jax.nn.log_softmax(logits), carry


def beam_search(
    model: CharLM,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    beams: int,
    size: int = 300,
    bos: bool = True,
) -> tuple[np.ndarray, float]:
    """The likeliest text after a prompt among those that ``beams`` candidates lead to.

    Args:
      model: the model.
      params: its parameters.
      vocabulary: its vocabulary.
      prompt: ids, int32 ``[tokens]``, possibly none.
      beams: how many candidates are kept at each step; 1 is the greedy text.
      size: the longest text, in tokens, the prompt included.
      bos: feed ``<eos>`` first; without a prompt it is fed in any case.

    Returns:
      The ids after the prompt without ``<eos>``, and the sum of their log-probabilities, that of ``<eos>`` included. Of
      finished texts the one with the highest mean log-probability of a token is chosen: by their sums, short ones win
      (Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7, with their alpha at 1).

    Raises:
      InputError: there is no beam.
    """
    if beams < 1:
        raise InputError(f"--beam is {beams}; it must be 1 or more")
    eos, banned = vocabulary.eos, list(vocabulary.never_written)
    given, parents = lead_in(prompt, eos, bos), np.zeros(beams, np.int32)
    carry = model.initial_step_carry(beams, len(given))
    for token in given:
        log, carry = _step(model, params, carry, parents, np.full(beams, token, np.int32))
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # at first all beams are the same one
    texts: list[list[int]] = [[] for _ in range(beams)]
    best: tuple[float, list[int], float] = (-np.inf, [], -np.inf)
    for length in range(1, max(1, size - len(prompt)) + 1):
        candidates = scores[:, None] + np.array(log, np.float64)
        candidates[:, banned] = -np.inf
        for text, total in zip(texts, candidates[:, eos], strict=True):
            if total / length > best[0]:
                best = total / length, text, float(total)
        candidates[:, eos] = -np.inf
        chosen = np.argsort(-candidates, axis=None, kind="stable")[:beams]
        parents, tokens = np.divmod(chosen, vocabulary.size)
        scores = candidates.ravel()[chosen]
        texts = [[*texts[parent], int(token)] for parent, token in zip(parents, tokens, strict=True)]
        # A mean can still rise; but not above what the best beam has now, were all that follows certain and long.
        if best[0] > -np.inf and scores[0] / (size - len(prompt) + 1) <= best[0]:
            break
        log, carry = _step(model, params, carry, parents.astype(np.int32), tokens.astype(np.int32))
    if best[0] == -np.inf:  # none ended in time
        return np.array(texts[0], np.int32), float(scores[0])
    return np.array(best[1], np.int32), best[2]
