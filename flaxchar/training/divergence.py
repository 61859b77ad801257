"""Divergence: what a run does when its loss or gradient explodes.

A loss has exploded when it is above ``MOST_NATS`` a target or not finite, and a gradient when its norm is not finite.
The step itself then skips the update (``training/step.py``). After ``MOST_SKIPPED`` skipped updates in a row
the run is set back to the state that did best on the held-out texts, or to its beginning, and continues from there at
half the learning rate. After ``MOST_SETBACKS`` setbacks it stops. Both counts are part of the training state, so a run
that is interrupted anywhere continues to the bit.
"""

from __future__ import annotations

import jax.numpy as jnp

from flaxchar.config import TrainingDiverged
from flaxchar.settings import TrainingConfig
from flaxchar.training.state import TrainState, copy_tree

# No healthy run has a mean loss this high, in nats a target: a uniform guess among a million tokens costs 14.
MOST_NATS = 1000.0
# Skipped updates in a row after which a run is set back. It is checked where the loss is recorded and before an
# evaluation, so that interrupted and whole runs decide after the same steps.
MOST_SKIPPED = 5
# Setbacks after which a run stops; the learning rate is then an eighth of what it was.
MOST_SETBACKS = 3


def rate_share(setbacks: int) -> float:
    """Share of the planned learning rate that is left: each setback halves it. An exact power of two."""
    return 0.5**setbacks


def set_back(state: TrainState, good: TrainState, training: TrainingConfig) -> TrainState:
    """Go back to an earlier state, whose arrays are copied. The step numbers, and with them the batches, go on.

    Raises:
      TrainingDiverged: the run was set back ``MOST_SETBACKS`` times before.
    """
    setbacks = int(state.setbacks)
    if setbacks >= MOST_SETBACKS:
        raise TrainingDiverged(diverged(training, f"at step {int(state.step):,}, for the {setbacks + 1}th time"))
    return copy_tree(good)._replace(step=state.step, skipped=jnp.zeros_like(state.skipped), setbacks=state.setbacks + 1)


def diverged(training: TrainingConfig, where: str) -> str:
    """The sentence about a run that has diverged: where, and which settings to try."""
    clip = "set `clip_norm`" if training.clip_norm is None else f"a lower `clip_norm` (it is {training.clip_norm:g})"
    return (
        f"training has diverged {where}: loss or gradient is huge, infinite or NaN; try a lower `learning_rate` (it is "
        f"{training.learning_rate:g}), or {clip}"
    )
