"""Presets: the settings a run starts with, by name and by the size and kind of its corpus.

Only ``resolve`` computes the configuration of a run. ``benchmarks/recipes.md`` has the measurements behind the numbers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from flaxchar.config import Config
from flaxchar.hardware import Hardware
from flaxchar.settings import LENGTHS, DataConfig, ModelConfig, TrainingConfig

PRESETS: dict[str, Config] = {
    # The teaching notebook that flaxchar grew from: Keras's LSTM(128), RMSprop, batches of 8 texts of any length.
    "reference": Config(
        DataConfig(bos=False),
        ModelConfig(dropout=0.0, input_init="glorot"),
        TrainingConfig(
            optimizer="rmsprop",
            learning_rate=1e-3,
            schedule="constant",
            warmup_steps=0,
            clip_norm=None,
            batch_size=8,
            buckets=1,
            epochs=4,
        ),
    ),
    # One label a text is little to learn from. A small network with much dropout overfits latest.
    "classifier": Config(
        model=ModelConfig(head="classifier", embedding=64, input_dropout=0.3, dropout=0.5, input_init="glorot"),
        training=TrainingConfig(optimizer="adam", learning_rate=0.005),
    ),
}

# Presets that depend on the size and kind of the corpus. The first is the default.
SIZED_PRESETS = ("default", "fast", "best")

# The numbers of characters that separate the sizes of a corpus: some thousand lines, a short book, a book or two, more.
SIZES = (200_000, 1_000_000, 10_000_000)
# Separate texts with at least this mean length, in tokens, fill a batch as windows of running text do.
LONG_TEXTS = 128


class CorpusFacts(NamedTuple):
    """The facts about a corpus that the configuration of a run depends on.

    Attributes:
      data: the data settings; those that were left to the corpus (``dataset``, ``window``, ``bos``) are filled in.
      characters: number of characters in the training texts.
      mean_length: mean number of tokens of a text, without its source.
      packable: whether several texts can share a row of a batch: not with sources or for a classifier.
      hardware: the device that trains.
    """

    data: DataConfig
    characters: int
    mean_length: float = 0.0
    packable: bool = True
    hardware: Hardware = Hardware()


def resolve(
    settings: Mapping[str, Any],
    preset: str | None = None,
    base: Config | None = None,
    corpus: CorpusFacts | None = None,
) -> Config:
    """Compute the configuration of a run, once before and once after its corpus is read.

    The user's settings take precedence over those of the preset, or of ``base`` if there is no preset. A length that
    the user set (``epochs``, ``steps`` or ``time_budget``) replaces the preset's.

    Args:
      settings: the settings that the user set, by name, even those that equal their default.
      preset: name of a preset; None for ``base``, or for ``"default"`` without a base.
      base: the configuration of the run to continue, or one given from Python.
      corpus: facts about the corpus; None before it is read. The model and training settings of a sized preset are
        then placeholders.

    Returns:
      The configuration, not yet validated.
    """
    if preset is None and base is not None:
        start = base
    elif preset is None or preset in SIZED_PRESETS:
        name = preset or SIZED_PRESETS[0]
        start = (
            Config()
            if corpus is None
            else make_preset(
                name,
                corpus.characters,
                corpus.data.running,
                corpus.mean_length,
                corpus.packable,
                corpus.hardware,
            )
        )
    else:
        start = PRESETS[preset]
    if preset is not None and base is not None:
        start = dataclasses.replace(start, data=base.data)  # a preset says nothing about the texts of a saved run
    if set(settings) & set(LENGTHS):
        start = start.without_length()
    config = start.replace(**settings)
    if corpus is not None:
        return dataclasses.replace(config, data=corpus.data)
    return config


def make_preset(
    name: str,
    characters: int,
    running: bool = False,
    mean_length: float = 0.0,
    packable: bool = True,
    hardware: Hardware = Hardware(),
) -> Config:
    """The settings of a preset. On a CPU ``fast`` trains for a minute and ``best`` for half an hour.

    Args:
      name: one of ``PRESETS`` or ``SIZED_PRESETS``.
      characters: number of characters in the training texts.
      running: whether the texts are running text, read in windows.
      mean_length: mean number of tokens of a text, without its source.
      packable: whether several texts can share a row of a batch.
      hardware: the device that trains.

    Example::

        flaxchar.make_preset("best", characters=500_000)
    """
    if name in PRESETS:
        return PRESETS[name]
    size = sum(characters >= limit for limit in SIZES)
    # A long text or a window has as many characters as several lines, so a smaller batch suffices and gives more steps.
    long = running or mean_length >= LONG_TEXTS
    if hardware.wide:
        return _on_gpu(name, size, running, long, packable)
    usual = Config().replace(batch_size=16 if size else 8) if long else Config()
    if size == 0:
        return _little_text(usual, running, best=name == "best")
    if name == "best":
        return _best(size, running, long)
    # The more text, the less a model overfits: it needs less dropout and, for the most text, less weight decay.
    dropout, weight_decay = {1: (0.2, 0.1), 2: (0.1, 0.1), 3: (0.0, 0.01)}[size]
    return usual.replace(dropout=dropout, weight_decay=weight_decay, time_budget="1m" if name == "fast" else None)


def _little_text(usual: Config, running: bool, best: bool) -> Config:
    """Under 200,000 characters: the model knows the text by heart after 16 epochs, however much time is left."""
    # Over so many epochs Muon gains nothing over AdamW. Windows come in small batches, which need a lower rate.
    little = usual.replace(optimizer="adamw", dropout=0.5, epochs=16, learning_rate=0.014 if running else 0.02)
    # With dropout of the embedding, 512 units learn a little more than 256; 768 learn no more than 512.
    return little.replace(hidden=512, input_dropout=0.2, learning_rate=0.014) if best else little


def _best(size: int, running: bool, long: bool) -> Config:
    """Half an hour of training: more units, with enough dropout to keep them from overfitting."""
    lines = size == 1 and not running
    book = size == 1 and running
    model = ModelConfig(hidden=512, embedding=128, input_init="glorot")
    training = TrainingConfig(
        optimizer="muon",
        learning_rate=0.014,  # 0.02 is too high for so many units
        batch_size=16 if long or size == 2 else 32,
        # After 12 epochs the model knows a short book by heart.
        epochs=12 if book else None,
        time_budget=None if book else "30m",
        weight_decay=0.01 if size == 3 else 0.1,
    )
    input_dropout, dropout = {1: (0.2, 0.4), 2: (0.1, 0.2), 3: (0.0, 0.1)}[size]
    if lines:
        # On so few lines 768 units overfit within half an hour, except with recurrent dropout, AdamW and clipping to 1.
        model = dataclasses.replace(model, hidden=768, recurrent_dropout=0.15)
        training = dataclasses.replace(training, optimizer="adamw", learning_rate=0.012, clip_norm=1.0)
        input_dropout, dropout = 0.3, 0.5
    return Config(model=dataclasses.replace(model, input_dropout=input_dropout, dropout=dropout), training=training)


def _on_gpu(name: str, size: int, running: bool, long: bool, packable: bool) -> Config:
    """On a GPU a step takes nearly as long for one row as for dozens, so networks and batches are larger.

    All but the largest corpora are learned by heart within a minute, so the number of passes bounds a run.
    """
    packed = packable and not running
    if size == 0:
        config = _little_text(Config().replace(batch_size=8) if long else Config(), running, best=name == "best")
        return config.replace(buckets=0, batch_size=16) if packed else config
    best, fast = name == "best", name == "fast"
    lines = not long
    config = _best(size, running, long).replace(
        hidden=(768 if best else 512) if lines else (1024 if best else 768),
        batch_size={1: 16, 2: 64, 3: 128}[size] if lines else (64 if size == 3 else 32) // (1 if running else 4),
        buckets=0 if packed else Config().training.buckets,
    )
    if long and size < 3:
        config = config.replace(dropout=0.5 if best else 0.4, input_dropout=0.2)
    if size == 3:
        return config.without_length().replace(time_budget="30m" if best else "1m" if fast else None)
    epochs = {1: 24, 2: 8}[size] if lines else 12
    return config.without_length().replace(epochs=epochs // 2 if fast else 2 * epochs if best and lines else epochs)


def describe_by_corpus(name: str) -> str | None:
    """The default preset's value of a setting for each size and kind of corpus, in words; None if it never differs.

    Example::

        describe_by_corpus("dropout")
        # "0.5 under 200,000 characters, 0.2 under 1,000,000, 0.1 under 10,000,000, else 0.0"
    """
    short, long = (_describe_by_size(name, mean_length=length) for length in (0, LONG_TEXTS))
    running = _describe_by_size(name, running=True)
    if short == running:
        return short if " else " in short else None
    return f"{short}; for running text {'and long texts ' if long == running else ''}{running}"


def _describe_by_size(name: str, running: bool = False, mean_length: float = 0) -> str:
    values = [settings[name] for settings in _default_by_size(running, mean_length)]
    changes = [k for k in range(len(SIZES)) if values[k] != values[k + 1]]
    words = [f"{values[k]} under {SIZES[k]:,}{' characters' * (n == 0)}" for n, k in enumerate(changes)]
    last = "none" if values[-1] is None else str(values[-1])
    return ", ".join([*words, f"else {last}"]) if words else last


@functools.cache
def _default_by_size(running: bool, mean_length: float) -> list[dict[str, Any]]:
    """All settings of the default preset for each size of corpus. Cached: the help of every setting reads it."""
    return [make_preset("default", size, running, mean_length).by_name() for size in (0, *SIZES)]
