"""The embedding of the tokens as a map in two dimensions, and the nearest neighbours of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flaxchar.models.trained import TrainedModel

# The most frequent tokens that are shown. A rare token has moved little from its random start.
SHOWN = 100
NEIGHBOURS = 4


class EmbeddingMap(NamedTuple):
    """The most frequent tokens of a vocabulary on a map.

    Attributes:
      tokens: the tokens, the most frequent first.
      places: their first two principal components, float64 ``[tokens, 2]``.
      shares: the share of the variance along each of the two.
      neighbours: for each token the most similar others and their cosine similarity, best first.
      embedded: whether the model has an embedding; otherwise the vectors are rows of the first layer's input kernel.
    """

    tokens: list[str]
    places: np.ndarray
    shares: tuple[float, float]
    neighbours: list[list[tuple[str, float]]]
    embedded: bool


def embedding_map(trained: TrainedModel) -> EmbeddingMap:
    """Project the tokens' vectors onto their first two principal components, by a singular value decomposition.

    A model without an embedding looks up a row of the first layer's kernel for each token. These rows play the same
    role, so they are shown instead.

    Example::

        places = embedding_map(lm)
        places.tokens[0], places.neighbours[0]  # "e", [("a", 0.61), …]
    """
    vocabulary, config = trained.vocabulary, trained.config.model
    shown = [(k, token) for k, token in enumerate(vocabulary.tokens, start=1) if token is not None][:SHOWN]
    table = trained.params["embedding"] if config.embedding else trained.params[f"{config.cell}_0"]["kernel"]
    vectors = np.asarray(table, np.float64)[[k for k, _ in shown]]
    tokens = [token for _, token in shown]
    centred = vectors - vectors.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(tokens), 2))
    kept = min(2, len(sizes))
    places[:, :kept] = left[:, :kept] * sizes[:kept]
    shares = np.zeros(2)
    shares[:kept] = sizes[:kept] ** 2 / max(1e-300, (sizes**2).sum())
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(tokens) - 1)]
    neighbours = [[(tokens[k], float(similarity[row, k])) for k in best] for row, best in enumerate(order)]
    return EmbeddingMap(tokens, places, (float(shares[0]), float(shares[1])), neighbours, bool(config.embedding))
