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
    "PRESETS": "presets",  # named settings: "reference", "classifier"
    "make_preset": "presets",  # settings by name, size and kind of the corpus: "default", "fast", "best"
    "InputError": "config",  # what the user gave cannot be used
    "Vocabulary": "data.vocabulary",  # text ↔ ids
    "EncodedTexts": "data.vocabulary",  # many texts as one array of ids
    "Batch": "data.batches",  # inputs, targets, mask
    "TextBatches": "data.batches",  # batch k of separate texts
    "WindowBatches": "data.batches",  # batch k of running text
    "pad_texts": "data.batches",  # texts → Batch
    "one_hot": "data.batches",  # ids → one-hot vectors
    "CharLM": "models.charlm",  # the Flax module: ids and carry → logits and carry
    "init_params": "models.charlm",  # fresh parameters
    "count_params": "models.charlm",  # how many numbers they are
    "lstm": "models.lstm",  # the recurrence over a sequence
    "lstm_step": "models.lstm",  # one step of it
    "token_losses": "models.losses",  # nats of each target
    "masked_cross_entropy": "models.losses",  # (sum, count) over a mask
    "score_texts": "models.evaluation",  # nats of each text
    "evaluate": "models.evaluation",  # loss, bits per character, accuracy
    "TrainState": "training.step",  # step, params, opt_state, carry
    "init_state": "training.step",  # the state before the first step
    "make_optimizer": "training.optimizers",  # TrainingConfig → Optax optimiser
    "learning_rates": "training.optimizers",  # the rate of every step
    "train_step": "training.step",  # (state, batch) → (state, sums)
    "Sampling": "generation.sampling",  # temperature, top-k, top-p
    "DecodeState": "generation.decode",  # where the decode loop is
    "decode": "generation.decode",  # the decode loop
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
    from flaxchar.config import Config, DataConfig, InputError, ModelConfig, TrainingConfig
    from flaxchar.data.batches import Batch, TextBatches, WindowBatches, one_hot, pad_texts
    from flaxchar.data.vocabulary import EncodedTexts, Vocabulary
    from flaxchar.generation.decode import DecodeState, decode
    from flaxchar.generation.sampling import Sampling
    from flaxchar.language_model import LanguageModel, load, train
    from flaxchar.models.charlm import CharLM, count_params, init_params
    from flaxchar.models.evaluation import evaluate, score_texts
    from flaxchar.models.losses import masked_cross_entropy, token_losses
    from flaxchar.models.lstm import lstm, lstm_step
    from flaxchar.presets import PRESETS, make_preset
    from flaxchar.training.optimizers import learning_rates, make_optimizer
    from flaxchar.training.step import TrainState, init_state, train_step
