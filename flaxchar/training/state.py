"""The training state: everything that one training step passes to the next."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from flaxchar.data.batches import AnyArray
from flaxchar.models.charlm import CharLM, Params, init_params


class TrainState(NamedTuple):
    """The training state, a plain pytree.

    Attributes:
      step: number of steps taken, int32 scalar.
      params: the model's parameters.
      opt_state: Optax's state.
      carry: the model's carry after the last batch for running text; ``()`` for separate texts.
      average: the exponential moving average of the parameters; None if none is kept.
      skipped: steps in a row, up to this one, whose update was skipped, int32.
      setbacks: number of times that training was set back to an earlier state (``training/divergence.py``), int32.
    """

    step: Array
    params: Params
    opt_state: Any
    carry: tuple
    average: Params | None = None
    skipped: AnyArray = np.int32(0)
    setbacks: AnyArray = np.int32(0)

    @property
    def evaluation_params(self) -> Params:
        """The parameters to evaluate, save and generate with: the average if one is kept."""
        return self.params if self.average is None else self.average


@functools.partial(jax.jit, static_argnames=["model", "optimizer", "rows", "running", "averaged"])
def init_state(
    model: CharLM,
    optimizer: optax.GradientTransformation,
    rows: int,
    key: Array,
    running: bool = False,
    averaged: bool = False,
    params: Params | None = None,
) -> TrainState:
    """Make the state before the first step.

    Args:
      model: the model; static.
      optimizer: from ``make_optimizer``; static.
      rows: rows of a batch; static.
      key: random key of the initial parameters.
      running: whether the batches are running text, whose carry is kept from batch to batch; static.
      averaged: whether to keep a moving average of the parameters; static.
      params: the initial parameters; None for random ones.

    Example::

        state = init_state(model, optimizer, batches.rows, jax.random.key(0))
    """
    params = init_params(model, key) if params is None else copy_tree(params)
    carry = model.initial_carry(rows) if running else ()
    average = copy_tree(params) if averaged else None
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, params, optimizer.init(params), carry, average, zero, zero)


@jax.jit
def copy_tree(tree: Any) -> Any:
    """Copy arrays, so that a step may reuse the buffers of the originals."""
    return jax.tree.map(jnp.copy, tree)
