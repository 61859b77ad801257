"""What a trained model says about texts: scores, labels, compression and novelty; and its baselines."""

from flaxchar.analysis.baselines import baselines
from flaxchar.analysis.classify import Classification, classify, judge
from flaxchar.analysis.compression import compress, decompress
from flaxchar.analysis.novelty import Novelty, TextIndex, measure_novelty
from flaxchar.analysis.score import Scores, score_examples

__all__ = [
    "Classification",
    "Novelty",
    "Scores",
    "TextIndex",
    "baselines",
    "classify",
    "compress",
    "decompress",
    "judge",
    "measure_novelty",
    "score_examples",
]
