"""From files and data sets to batches: examples, corpus, vocabulary, ids, padded arrays."""

from flaxchar.data.batches import Batch, EvaluationBatches, TextBatches, WindowBatches, one_hot, pad_texts
from flaxchar.data.cache import EncodedCorpus, encode_corpus, load_encoded
from flaxchar.data.corpus import Corpus, load_corpus, make_corpus
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.examples import Chunk, Example, Examples
from flaxchar.data.readers.files import read_files
from flaxchar.data.spelling import Speller, Spelling
from flaxchar.data.texts import Texts
from flaxchar.data.unknown import UnknownTokens, find_unknown
from flaxchar.data.vocabulary import PAD, Vocabulary, vocabulary_from_format_1

__all__ = [
    "PAD",
    "Batch",
    "Chunk",
    "Corpus",
    "EncodedCorpus",
    "EncodedTexts",
    "EvaluationBatches",
    "Example",
    "Examples",
    "Speller",
    "Spelling",
    "TextBatches",
    "Texts",
    "UnknownTokens",
    "Vocabulary",
    "WindowBatches",
    "encode_corpus",
    "find_unknown",
    "load_corpus",
    "load_encoded",
    "make_corpus",
    "one_hot",
    "pad_texts",
    "read_files",
    "vocabulary_from_format_1",
]
