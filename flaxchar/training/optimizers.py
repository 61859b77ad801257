"""The optimizer of a run, from Optax, and the learning rate of each step."""

from __future__ import annotations

import functools

import jax
import numpy as np
import optax
from jax import Array

from flaxchar.models.cells import CELLS
from flaxchar.models.charlm import Params
from flaxchar.settings import TrainingConfig


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformationExtraArgs:
    """Make a run's optimizer. ``apply_gradients`` sets its learning rate at each step.

    Example::

        optimizer = make_optimizer(TrainingConfig(optimizer="adamw", weight_decay=0.1))
    """
    return _make_optimizer(config.optimizer, config.learning_rate, config.weight_decay, config.clip_norm)


@functools.lru_cache(maxsize=32)  # jit compiles again for another object, even one with the same settings
def _make_optimizer(
    name: str, learning_rate: float, weight_decay: float, clip_norm: float | None
) -> optax.GradientTransformationExtraArgs:
    def make(learning_rate: float) -> optax.GradientTransformation:
        optimizer = {
            "adam": optax.adam,
            "adamw": functools.partial(optax.adamw, weight_decay=weight_decay, mask=_matrices),
            "lion": functools.partial(optax.lion, weight_decay=weight_decay, mask=_matrices),
            "muon": functools.partial(_muon, weight_decay=weight_decay),
            # As in Keras, epsilon is added outside the square root. With gradients this small it matters much.
            "rmsprop": functools.partial(optax.rmsprop, decay=0.9, eps=1e-7, eps_in_sqrt=False),
            "sgd": optax.sgd,
        }[name](learning_rate)
        clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
        return optax.chain(clip, optimizer)

    return optax.inject_hyperparams(make)(learning_rate=learning_rate)


def _matrices(params: Params) -> Params:
    """The mask of weight decay: matrices decay, biases and scales do not."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _muon(learning_rate: Array | float, weight_decay: float) -> optax.GradientTransformation:
    """Muon for each gate's matrices. All other parameters get Adam with Nesterov momentum, twice the rate, no decay.

    Muon makes the momentum of a matrix nearly orthogonal, so that a step changes all its directions by the same amount
    (Jordan 2024, https://kellerjordan.github.io/posts/muon/), and scales it to the size of Adam's steps (Liu et al.
    2025, https://arxiv.org/abs/2502.16982, section 2.2). Two Newton-Schulz iterations after Schatten preconditioning
    learn as much as the usual five in two fifths of the time (Grishina et al. 2025, https://arxiv.org/abs/2506.10935).
    """

    def axes(by_gate: Params) -> Params:
        by_rows_and_columns = optax.contrib.MuonDimensionNumbers(0, 2)
        return jax.tree.map(lambda leaf: by_rows_and_columns if leaf.ndim == 3 else None, by_gate)

    optimizer = optax.contrib.muon(
        learning_rate,
        ns_steps=2,
        preconditioning="schatten",
        consistent_rms=0.2,
        weight_decay=weight_decay,
        adam_learning_rate=2 * learning_rate,
        muon_weight_dimension_numbers=axes,
    )

    def init(params: Params) -> optax.OptState:
        return optimizer.init(_by_gate(params))

    def update(gradients: Params, state: optax.OptState, params: Params | None = None) -> tuple[Params, optax.OptState]:
        updates, state = optimizer.update(_by_gate(gradients), state, None if params is None else _by_gate(params))
        return jax.tree.map(lambda update, gradient: update.reshape(gradient.shape), updates, gradients), state

    return optax.GradientTransformation(init, update)


def _by_gate(params: Params) -> Params:
    """Reshape the layers' kernels from ``[in, gates * hidden]`` to ``[in, gates, hidden]``.

    Without an embedding the first kernel keeps its shape, because its rows act as the embedding.
    """

    def split(path: tuple, leaf: Array) -> Array:
        layer, name = path[0].key, path[-1].key
        cell = CELLS.get(layer.rpartition("_")[0])
        direct = name == "kernel" and layer.endswith("_0") and "embedding" not in params
        if cell is None or leaf.ndim != 2 or direct:
            return leaf
        return leaf.reshape(len(leaf), cell.gates, -1)

    return jax.tree_util.tree_map_with_path(split, params)


def learning_rates(config: TrainingConfig, total_steps: int) -> np.ndarray:
    """Compute the learning rate of each step of a run: a linear warm-up of at most half the run, then the schedule.

    Returns:
      float32 ``[total_steps]``.

    Example::

        learning_rates(TrainingConfig(learning_rate=0.02, warmup_steps=50), total_steps=1000)
    """
    warmup = min(config.warmup_steps, total_steps // 2)
    rising = optax.linear_schedule(config.learning_rate / max(1, warmup), config.learning_rate, max(1, warmup - 1))
    after = {
        "constant": optax.constant_schedule(config.learning_rate),
        "cosine": optax.cosine_decay_schedule(config.learning_rate, max(1, total_steps - warmup)),
    }[config.schedule]
    schedule = optax.join_schedules([rising, after], [warmup])
    rates = jax.jit(schedule)(np.arange(total_steps))  # jit: compiled one by one, the twenty operations take 0.6 s
    return np.broadcast_to(np.asarray(rates, np.float32), (total_steps,))
