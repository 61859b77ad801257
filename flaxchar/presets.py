"""Presets: the settings a run begins with, by name or by size and kind of its corpus."""

from __future__ import annotations

from typing import Any

from flaxchar.config import Config, DataConfig, ModelConfig, TrainingConfig

PRESETS: dict[str, Config] = {
    # The teaching notebook flaxchar began as: Keras' LSTM(128) and RMSprop as Keras sets them up.
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
    # Names the class of a text, which is little to learn from: few units, of which many are dropped.
    "classifier": Config(
        model=ModelConfig(head="classifier", embedding=64, input_dropout=0.3, dropout=0.5, input_init="glorot"),
        training=TrainingConfig(optimizer="adam", learning_rate=0.005),
    ),
}


# Presets that depend on how much there is to learn; the first is what a run takes where nothing else is said.
SIZED_PRESETS = ("default", "fast", "best")


# Texts of so many tokens on average are long: to a batch they bring as much as windows of running text.
LONG_TEXTS = 128


def make_preset(name: str, characters: int, running: bool = False, mean_length: float = 0.0) -> Config:
    """The settings of a preset, as found in benchmarks/recipes.md: ``fast`` takes a minute, ``best`` half an hour.

    Args:
      name: one of ``PRESETS`` or ``SIZED_PRESETS``.
      characters: how many there are to learn.
      running: whether they are running text, in windows.
      mean_length: tokens of a text on average, its source left out.
    """
    if name in PRESETS:
        return PRESETS[name]
    size = sum(characters >= limit for limit in (200_000, 1_000_000, 10_000_000))

    def by_size(*values: Any) -> Any:
        """What goes with some thousand lines, with a short book, with a book or two of any kind, and with more."""
        return values[size if size > 1 else int(running)]

    # A long text, or a window, is as much as several lines: fewer of them make a step, and there are more steps.
    long = running or mean_length >= LONG_TEXTS
    usual = Config().replace(batch_size=16 if size else 8) if long else Config()
    if size == 0:  # after so many passes it is known by heart, whatever the time
        little = usual.replace(optimizer="adamw", dropout=0.5, epochs=16, learning_rate=0.014 if running else 0.02)
        return little if name != "best" else little.replace(hidden=512, input_dropout=0.2, learning_rate=0.014)
    if name != "best":
        dropout, decay = by_size(0.2, 0.2, 0.1, 0.0), by_size(0.1, 0.1, 0.1, 0.01)
        return usual.replace(dropout=dropout, weight_decay=decay, time_budget="1m" if name == "fast" else None)
    return Config(
        model=ModelConfig(
            hidden=by_size(768, 512, 512, 512),
            embedding=128,
            input_dropout=by_size(0.3, 0.2, 0.1, 0.0),
            dropout=by_size(0.5, 0.4, 0.2, 0.1),
            recurrent_dropout=by_size(0.15, 0.0, 0.0, 0.0),
            input_init="glorot",
        ),
        training=TrainingConfig(
            optimizer=by_size("adamw", "muon", "muon", "muon"),
            weight_decay=by_size(0.1, 0.1, 0.1, 0.01),
            learning_rate=by_size(0.012, 0.014, 0.014, 0.014),
            clip_norm=by_size(1.0, 0.25, 0.25, 0.25),
            batch_size=16 if long else by_size(32, 16, 16, 32),
            epochs=by_size(None, 12, None, None),
            time_budget=by_size("30m", None, "30m", "30m"),
        ),
    )
