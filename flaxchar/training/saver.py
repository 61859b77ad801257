"""Saving a run's training state now and then, and restoring it."""

from __future__ import annotations

import time
from typing import Any

import jax.numpy as jnp

from flaxchar.config import InputError
from flaxchar.training.checkpoints import Checkpoints
from flaxchar.training.devices import Layout, agree
from flaxchar.training.state import TrainState

# A run is saved at least this often, seconds.
SAVE_EVERY = 60.0
# Seconds that saving a checkpoint of a small model takes, about.
SAVE_SECONDS = 0.05


class Saver:
    """Saves a run's state, now and then or when asked to."""

    def __init__(self, layout: Layout, checkpoints: Checkpoints | None) -> None:
        """``checkpoints``: where to save; None on the processes that do not write."""
        self._layout, self._checkpoints = layout, checkpoints
        self._saved_at = time.monotonic()

    def due(self) -> bool:
        """Whether the last save is longer ago than ``SAVE_EVERY``. Collective: every process must ask."""
        return agree(time.monotonic() - self._saved_at > SAVE_EVERY)

    def save(self, state: TrainState, step: int, bits_per_character: float | None = None) -> None:
        """Save the state after ``step``. Collective: every process must call it."""
        params, training = self._layout.fetch((state.evaluation_params, _training_items(state)))
        if self._checkpoints is not None:
            self._checkpoints.save(step, params, training, bits_per_character)
        self._saved_at = time.monotonic()


def restore_state(checkpoints: Checkpoints, step: int, state: TrainState) -> TrainState:
    """Read the state that a ``Saver`` saved after ``step``; ``state`` gives structure, shapes and dtypes."""
    items = _training_items(state)
    try:
        params, training = checkpoints.restore(step, state.evaluation_params, items)
    except InputError:  # perhaps of a version that did not count skipped steps
        del items["counts"]
        params, training = checkpoints.restore(step, state.evaluation_params, items)
    own, average = (training["params"], params) if "params" in training else (params, None)
    skipped, setbacks = training.get("counts", (jnp.int32(0), jnp.int32(0)))
    return TrainState(jnp.int32(step), own, training["opt_state"], training["carry"], average, skipped, setbacks)


def _training_items(state: TrainState) -> dict[str, Any]:
    """What a run needs to go on, besides the evaluation parameters."""
    items = {"opt_state": state.opt_state, "carry": state.carry, "counts": (state.skipped, state.setbacks)}
    # Where the average is saved as the model, the parameters themselves are saved beside it.
    return items if state.average is None else {**items, "params": state.params}
