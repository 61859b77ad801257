# The front's names, each once: imported on first use (see __init__.py), and read by type checkers. In ASCII alone:
# lazy_loader reads this file in the encoding of the locale.
from .batches import Batch as Batch  # inputs, targets, mask
from .batches import EvaluationBatches as EvaluationBatches  # batches of held-out texts
from .batches import TextBatches as TextBatches  # batch k of separate texts
from .batches import WindowBatches as WindowBatches  # batch k of running text
from .batches import one_hot as one_hot  # ids -> one-hot vectors
from .batches import pad_texts as pad_texts  # encoded texts -> Batch
from .cache import EncodedCorpus as EncodedCorpus  # a corpus as ids, ready to train on
from .cache import encode_corpus as encode_corpus  # Corpus -> EncodedCorpus
from .cache import load_encoded as load_encoded  # Config -> EncodedCorpus, from the cache where it is kept
from .corpus import Corpus as Corpus  # texts to learn and held-out texts
from .corpus import load_corpus as load_corpus  # Config -> Corpus
from .corpus import make_corpus as make_corpus  # examples -> Corpus
from .encoded import EncodedTexts as EncodedTexts  # many texts as one array of ids
from .examples import Chunk as Chunk  # some examples, column by column
from .examples import Example as Example  # text, label, source
from .examples import Examples as Examples  # many examples
from .readers.files import read_files as read_files  # files -> chunks of examples
from .spelling import Speller as Speller  # predicts the characters of unknown tokens
from .spelling import Spelling as Spelling  # rare tokens of the training texts, of which a Speller is made
from .texts import Texts as Texts  # many texts as one array of characters
from .unknown import UnknownTokens as UnknownTokens  # unknown tokens of texts and what their spelling costs
from .unknown import find_unknown as find_unknown  # texts -> UnknownTokens
from .vocabulary import PAD as PAD  # the id of padding
from .vocabulary import Vocabulary as Vocabulary  # text <-> ids
from .vocabulary import vocabulary_from_format_1 as vocabulary_from_format_1  # that of the oldest runs
