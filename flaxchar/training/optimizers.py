"""The optimiser of a run, from Optax, and the learning rate of each of its steps."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from flaxchar.config import TrainingConfig
from flaxchar.models.cells import CELLS
from flaxchar.models.charlm import Params


class Optimizer(optax.GradientTransformationExtraArgs):
    """An optimiser of Optax' that says what it is, as programs need of their static arguments."""

    settings: tuple

    def __repr__(self) -> str:
        """Optax' own shows where its functions lie in memory."""
        return f"Optimizer{self.settings}"


def make_optimizer(config: TrainingConfig) -> Optimizer:
    """The optimiser of a configuration, its learning rate left open: ``train_step`` sets it at every step."""

    def make(learning_rate: float) -> optax.GradientTransformation:
        optimizer = {
            "adam": optax.adam,
            "adamw": functools.partial(optax.adamw, weight_decay=config.weight_decay, mask=_matrices),
            "lion": functools.partial(optax.lion, weight_decay=config.weight_decay, mask=_matrices),
            "muon": functools.partial(_muon, weight_decay=config.weight_decay),
            # As Keras: epsilon is added to the root, not under it, which matters much at this size of gradient.
            "rmsprop": functools.partial(optax.rmsprop, decay=0.9, eps=1e-7, eps_in_sqrt=False),
            "sgd": optax.sgd,
        }[config.optimizer](learning_rate)
        clip = optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)
        return optax.chain(clip, optimizer)

    made = Optimizer(*optax.inject_hyperparams(make)(learning_rate=config.learning_rate))
    made.settings = (config.optimizer, config.learning_rate, config.weight_decay, config.clip_norm)
    return made


def _matrices(params: Params) -> Params:
    """Which parameters decay: matrices, not biases and scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _muon(learning_rate: Array | float, weight_decay: float) -> optax.GradientTransformation:
    """Muon for each gate's matrices; for everything else Adam with Nesterov's momentum, at twice the rate, no decay.

    The momentum of a matrix is made nearly orthogonal, so that a step changes all its directions alike (Jordan 2024,
    https://kellerjordan.github.io/posts/muon/), and scaled to the size of Adam's steps (Liu et al. 2025,
    https://arxiv.org/abs/2502.16982, section 2.2). Two Newton-Schulz iterations from a Schatten norm learn as much as
    the usual five and cost two fifths (Grishina et al. 2025, https://arxiv.org/abs/2506.10935).
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
    """Parameters with the layers' kernels ``[in, gates * hidden]`` as ``[in, gates, hidden]``.

    But for a kernel that characters act on directly: its rows are what each of them means, as an embedding's are.
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
    """The learning rate of every step of a run, float32 ``[total_steps]``."""
    warmup = min(config.warmup_steps, total_steps // 2)
    rising = optax.linear_schedule(config.learning_rate / max(1, warmup), config.learning_rate, max(1, warmup - 1))
    after = {
        "constant": optax.constant_schedule(config.learning_rate),
        "cosine": optax.cosine_decay_schedule(config.learning_rate, max(1, total_steps - warmup)),
    }[config.schedule]
    schedule = optax.join_schedules([rising, after], [warmup])
    rates = jax.jit(schedule)(jnp.arange(total_steps))  # compiled as one: twenty operations by themselves take 0.6 s
    return np.broadcast_to(np.asarray(rates, np.float32), (total_steps,))
