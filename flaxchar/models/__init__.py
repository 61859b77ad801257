"""The model: recurrent cells and layers, attention to a source, the language model, its losses and its evaluation.

The modules, in reading order: ``projection``, ``lstm``, ``linear`` and ``cells`` (the recurrences and their gradients),
``layers``, ``attention``, ``charlm`` (the model), ``gates``, ``losses``, ``evaluation``, ``trained`` (the record of a
trained model), ``transfer``.
"""

from flaxchar.models.attention import attend, attend_step
from flaxchar.models.cells import CELLS, RecurrentCell
from flaxchar.models.charlm import CharLM, Params, count_params, init_params, make_model, starting_carry
from flaxchar.models.evaluation import Evaluation, RowSums, evaluate, score_batch, score_texts
from flaxchar.models.layers import RecurrentLayer, with_embedding
from flaxchar.models.losses import masked_cross_entropy, token_losses
from flaxchar.models.lstm import lstm, lstm_step
from flaxchar.models.trained import TrainedModel, all_finite

__all__ = [
    "CELLS",  # the recurrent cells by name
    "CharLM",  # the Flax module: (ids, carry) → (logits, carry)
    "Evaluation",  # loss, bits per character, accuracy
    "Params",  # the parameters of a model, a pytree
    "RecurrentCell",  # a cell: its parameters and its two functions
    "RecurrentLayer",  # the Flax module of one layer
    "RowSums",  # nats, hits and tokens of each row
    "TrainedModel",  # parameters, vocabulary and settings
    "all_finite",  # whether every parameter is finite
    "attend",  # attention over whole texts
    "attend_step",  # attention for one new state
    "count_params",  # number of parameters
    "evaluate",  # texts → Evaluation
    "init_params",  # fresh parameters
    "lstm",  # the LSTM over a sequence
    "lstm_step",  # one step of the LSTM
    "make_model",  # vocabulary and settings → CharLM
    "masked_cross_entropy",  # the loss over a mask, as (sum, count)
    "score_batch",  # a batch → RowSums, one row each
    "score_texts",  # texts → RowSums, one text each
    "starting_carry",  # the carry that a batch starts from
    "token_losses",  # nats of each target
    "with_embedding",  # a layer's weights, the embedding multiplied into the kernel
]
