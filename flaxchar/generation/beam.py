"""Beam search: finds a probable text by keeping the best few candidates at each step."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax import Array

from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.arguments import check
from flaxchar.generation.blend import AnyModel
from flaxchar.generation.constraints import Constraint
from flaxchar.generation.generate import lead_in
from flaxchar.models.charlm import Params
from flaxchar.settings import MOST_BEAMS


@functools.partial(jax.jit, static_argnums=0)
def _advance(model: AnyModel, params: Params, carry: tuple, parents: Array, ids: Array) -> tuple[Array, tuple]:
    """Feed a token to each beam.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the carry of the previous step's beams.
      parents: the previous beam that each beam continues, int32 ``[beams]``.
      ids: the token of each beam, int32 ``[beams]``.

    Returns:
      Log-probabilities of the next token, ``[beams, vocab]``, and the carry.
    """
    carry = jax.tree.map(lambda state: state[parents], carry)
    logits, carry = model.apply({"params": params}, ids, carry, method="step")
    return jax.nn.log_softmax(logits), carry


def beam_search(
    model: AnyModel,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    beams: int,
    size: int = 300,
    bos: bool = True,
    constraint: Constraint | None = None,
    text: int = 0,
) -> tuple[np.ndarray, float]:
    """Search for the most probable continuation of a prompt.

    Args:
      model: the model.
      params: its parameters.
      vocabulary: its vocabulary.
      prompt: ids, int32 ``[tokens]``; may be empty.
      beams: candidates kept at each step; 1 gives the greedy text.
      size: the longest text, in tokens, the prompt included.
      bos: feed ``<eos>`` first; with an empty prompt it is fed in any case.
      constraint: the table of the constraints on the text; None for none.
      text: the number of the text, from 0, for a constraint on several texts, such as an acrostic.

    Returns:
      The ids after the prompt without ``<eos>``, and their summed log-probability in nats, ``<eos>`` included. The best
      finished text is the one with the highest mean log-probability a token, because the sum favours short texts (Wu et
      al. 2016, https://arxiv.org/abs/1609.08144, section 7, with alpha = 1). If no text finishes within ``size``, the
      result is the best unfinished one.

    Raises:
      InputError: ``beams`` is less than 1, or more than 1,000.
    """
    check("beams", beams, int, least=1, most=MOST_BEAMS)
    eos, banned = vocabulary.eos, list(vocabulary.never_written)
    given, parents = lead_in(prompt, eos, bos), np.zeros(beams, np.int32)
    carry = model.initial_step_carry(beams, len(given))
    for token in given:
        log, carry = _advance(model, params, carry, parents, np.full(beams, token, np.int32))
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # at first all beams are equal, so only one counts
    texts: list[list[int]] = [[] for _ in range(beams)]
    states = np.zeros(beams, np.int32) if constraint is None else np.full(beams, constraint.starts[text])
    best: tuple[float, list[int], float] = (-np.inf, [], -np.inf)
    longest = max(1, size - len(prompt))
    for length in range(1, longest + 1):
        candidates = scores[:, None] + np.array(log, np.float64)
        candidates[:, banned] = -np.inf
        if constraint is not None:
            after = constraint.next[states]  # [beams, vocab]
            candidates[(after < 0) | (constraint.needed[after] > longest - length)] = -np.inf
        for ids, total in zip(texts, candidates[:, eos], strict=True):
            if total / length > best[0]:
                best = total / length, ids, float(total)
        candidates[:, eos] = -np.inf
        chosen = np.argsort(-candidates, axis=None, kind="stable")[:beams]
        parents, tokens = np.divmod(chosen, vocabulary.size)
        scores = candidates.ravel()[chosen]
        states = states if constraint is None else constraint.next[states[parents], tokens]
        texts = [[*texts[parent], int(token)] for parent, token in zip(parents, tokens, strict=True)]
        # Stop if no beam can win: sums only fall, so a mean never exceeds the present sum over the greatest length.
        if best[0] > -np.inf and scores[0] / (size - len(prompt) + 1) <= best[0]:
            break
        log, carry = _advance(model, params, carry, parents.astype(np.int32), tokens.astype(np.int32))
    if best[0] == -np.inf:  # no text ended within the size
        return np.array(texts[0], np.int32), float(scores[0])
    return np.array(best[1], np.int32), best[2]
