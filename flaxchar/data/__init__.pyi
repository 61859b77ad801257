# The public names: lazy_loader imports each on first use (see __init__.py), and type checkers read this file. ASCII
# only, because lazy_loader reads it in the encoding of the locale.
from .batches import Batch as Batch  # inputs, targets, mask
from .batches import EvaluationBatches as EvaluationBatches  # batches for scoring: every text once
from .batches import TextBatches as TextBatches  # batch k of separate texts
from .batches import WindowBatches as WindowBatches  # batch k of running text
from .batches import one_hot as one_hot  # ids -> one-hot vectors
from .batches import pad_texts as pad_texts  # encoded texts -> Batch
from .cache import EncodedCorpus as EncodedCorpus  # a corpus as ids, ready to train on
from .cache import encode_corpus as encode_corpus  # Corpus -> EncodedCorpus
from .cache import load_encoded as load_encoded  # Config -> (EncodedCorpus, Config), from the cache if it is there
from .corpus import Corpus as Corpus  # training texts and held-out texts
from .corpus import load_corpus as load_corpus  # Config -> (Corpus, Config)
from .corpus import make_corpus as make_corpus  # examples -> Corpus
from .encoded import EncodedTexts as EncodedTexts  # many texts as one array of ids
from .examples import Chunk as Chunk  # a few examples, column by column
from .examples import Example as Example  # text, label, source
from .examples import Examples as Examples  # many examples
from .readers.files import read_files as read_files  # files -> chunks of examples
from .spelling import Speller as Speller  # predicts the characters of unknown tokens
from .spelling import Spelling as Spelling  # rare tokens of the training texts, from which a Speller is made
from .texts import Texts as Texts  # many strings, in memory or in a scratch file
from .unknown import UnknownTokens as UnknownTokens  # unknown tokens of texts, and the cost of their spelling
from .unknown import find_unknown as find_unknown  # texts -> UnknownTokens
from .vocabulary import PAD as PAD  # the id of padding
from .vocabulary import Vocabulary as Vocabulary  # text <-> ids
from .vocabulary import vocabulary_from_format_1 as vocabulary_from_format_1  # reads the vocabulary of the oldest runs
