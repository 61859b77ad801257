# The public names: lazy_loader imports each on first use (see __init__.py), and type checkers read this file. ASCII
# only, because lazy_loader reads it in the encoding of the locale.
from .config import Config as Config  # all settings of a run: .data, .model, .training
from .config import FormWarning as FormWarning  # a text was changed to a form that the model knows
from .config import InputError as InputError  # raised for input that cannot be used
from .config import TrainingDiverged as TrainingDiverged  # raised if the loss or the gradient explodes
from .data.batches import Batch as Batch  # inputs, targets, mask
from .data.batches import TextBatches as TextBatches  # batch k of separate texts
from .data.batches import WindowBatches as WindowBatches  # batch k of running text
from .data.batches import one_hot as one_hot  # ids -> one-hot vectors
from .data.batches import pad_texts as pad_texts  # encoded texts -> Batch
from .data.encoded import EncodedTexts as EncodedTexts  # many texts as one array of ids
from .data.examples import Example as Example  # text, label, source
from .data.vocabulary import Vocabulary as Vocabulary  # text <-> ids
from .generation.decode import DecodeState as DecodeState  # state of the decode loop
from .generation.decode import decode as decode  # the decode loop
from .generation.sampling import Sampling as Sampling  # temperature, top-k, top-p, min-p
from .insight.trace import Trace as Trace  # predictions, alternatives and activations at each position of a text
from .language_model import LanguageModel as LanguageModel  # generate, score, classify, compress, export, save
from .library import import_model as import_model  # a file of Keras or PyTorch -> LanguageModel
from .library import load as load  # run directory -> LanguageModel
from .library import train as train  # texts -> LanguageModel
from .models.charlm import CharLM as CharLM  # the Flax module: ids and carry -> logits and carry
from .models.charlm import count_params as count_params  # number of parameters
from .models.charlm import init_params as init_params  # fresh parameters
from .models.evaluation import evaluate as evaluate  # loss, bits per character, accuracy
from .models.evaluation import score_texts as score_texts  # nats, hits and tokens of each text
from .models.losses import masked_cross_entropy as masked_cross_entropy  # (sum, count) over a mask
from .models.losses import token_losses as token_losses  # nats of each target
from .models.lstm import lstm as lstm  # the recurrence over a sequence
from .models.lstm import lstm_step as lstm_step  # one step of it
from .presets import PRESETS as PRESETS  # named settings: "reference", "classifier"
from .presets import make_preset as make_preset  # settings by name, size and kind of the corpus
from .settings import DataConfig as DataConfig  # where texts come from and how they become ids
from .settings import ModelConfig as ModelConfig  # the network
from .settings import TrainingConfig as TrainingConfig  # how the network is trained
from .training.optimizers import learning_rates as learning_rates  # the learning rate of every step
from .training.optimizers import make_optimizer as make_optimizer  # TrainingConfig -> Optax optimizer
from .training.state import TrainState as TrainState  # step, params, opt_state, carry
from .training.state import init_state as init_state  # the state before the first step
from .training.step import TrainStep as TrainStep  # (state, batch, learning rate) -> (state, sums)

__version__: str
