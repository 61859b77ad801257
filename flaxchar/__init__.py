"""flaxchar: character-level language models in JAX/Flax. Train on any text in minutes, write text, score text.

The front::

    lm = flaxchar.train(["Anna", "Otto", "Hannah"], steps=500)
    lm.generate("Ha", temperature=0.7, num_samples=5)
    lm.score(["Hanna"])
    lm.save("runs/names")
    lm = flaxchar.load("runs/names")

The names below are public; everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "train": "language_model",  # texts → LanguageModel
    "load": "language_model",  # run directory → LanguageModel
    "LanguageModel": "language_model",  # generate, stream, score, save; params, vocabulary, config
    "Config": "config",  # all settings of a run: .data, .model, .training
    "DataConfig": "config",  # where texts come from and how they become ids
    "ModelConfig": "config",  # the network
    "TrainingConfig": "config",  # how it is trained
    "PRESETS": "config",  # named settings: "reference", "classifier"
    "make_preset": "config",  # settings by name, size and kind of the corpus: "default", "fast", "best"
    "InputError": "config",  # what the user gave cannot be used
    "Vocabulary": "vocabulary",  # text ↔ ids
    "EncodedTexts": "vocabulary",  # many texts as one array of ids
    "Batch": "batches",  # inputs, targets, mask
    "TextBatches": "batches",  # batch k of separate texts
    "WindowBatches": "batches",  # batch k of running text
    "pad_texts": "batches",  # texts → Batch
    "one_hot": "batches",  # ids → one-hot vectors
    "CharLM": "model",  # the Flax module: ids and carry → logits and carry
    "init_params": "model",  # fresh parameters
    "count_params": "model",  # how many numbers they are
    "lstm": "recurrence",  # the recurrence over a sequence
    "lstm_step": "recurrence",  # one step of it
    "token_losses": "losses",  # nats of each target
    "masked_cross_entropy": "losses",  # (sum, count) over a mask
    "score_texts": "losses",  # nats of each text
    "evaluate": "losses",  # loss, bits per character, accuracy
    "TrainState": "training",  # step, params, opt_state, carry
    "init_state": "training",  # the state before the first step
    "make_optimizer": "optimizers",  # TrainingConfig → Optax optimiser
    "learning_rates": "optimizers",  # the rate of every step
    "train_step": "training",  # (state, batch) → (state, sums)
    "Sampling": "generate",  # temperature, top-k, top-p
    "DecodeState": "generate",  # where the decode loop is
    "decode": "generate",  # the decode loop
}
__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    # Imported when first used: `flaxchar --help` and reading settings need no JAX.
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"flaxchar.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'flaxchar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from flaxchar.batches import Batch, TextBatches, WindowBatches, one_hot, pad_texts
    from flaxchar.config import PRESETS, Config, DataConfig, InputError, ModelConfig, TrainingConfig, make_preset
    from flaxchar.generate import DecodeState, Sampling, decode
    from flaxchar.language_model import LanguageModel, load, train
    from flaxchar.losses import evaluate, masked_cross_entropy, score_texts, token_losses
    from flaxchar.model import CharLM, count_params, init_params
    from flaxchar.optimizers import learning_rates, make_optimizer
    from flaxchar.recurrence import lstm, lstm_step
    from flaxchar.training import TrainState, init_state, train_step
    from flaxchar.vocabulary import EncodedTexts, Vocabulary
