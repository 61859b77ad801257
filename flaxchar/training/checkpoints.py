"""Checkpoints of a run, by Orbax: the last one, and the best one on the held-out texts."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.config import InputError
from flaxchar.models.charlm import Params
from flaxchar.training.devices import Layout, agree
from flaxchar.training.state import TrainState

# A run is saved at least this often, seconds.
SAVE_EVERY = 60.0
# Seconds that saving a checkpoint of a small model takes, about.
SAVE_SECONDS = 0.05


class Checkpoints:
    """The checkpoints in a folder, named by step. A checkpoint is saved whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Open a folder, which need not exist before the first ``save``."""
        self._path = path.absolute()
        self._manager: Any = None
        self._writing = False

    def save(
        self, step: int, params: Params, training: dict[str, Any] | None = None, bits_per_character: float | None = None
    ) -> None:
        """Save a checkpoint, and delete those that are then neither the last nor the best.

        Args:
          step: steps taken so far. A step that is already the last checkpoint is not saved again.
          params: the parameters.
          training: a pytree of arrays that the run needs to go on; None for a model that will not be trained further.
          bits_per_character: the held-out result, where there is one.
        """
        import orbax.checkpoint as ocp

        manager = self._open(writing=True)
        if manager.latest_step() == step:
            return
        items = {"params": params} if training is None else {"params": params, "training": training}
        manager.save(
            step,
            args=ocp.args.Composite(
                # Copies: on a CPU, NumPy's view of an array is the array itself, whose buffer the next step reuses.
                **{name: ocp.args.StandardSave(jax.tree.map(np.array, item)) for name, item in items.items()}
            ),
            metrics=None if bits_per_character is None else {"bits_per_character": bits_per_character},
            force=True,
        )

    def last_step(self) -> int | None:
        """The step of the last checkpoint; None where there is none."""
        return self._open().latest_step() if self._path.is_dir() else None

    def best(self) -> tuple[int, float | None] | None:
        """The step of the best checkpoint and its bits per character; where none was evaluated, the last step."""
        last = self.last_step()
        if last is None:
            return None
        manager = self._open()
        step = manager.best_step()
        if step is None:
            return last, None
        metrics = manager.metrics(step)
        return step, metrics["bits_per_character"] if metrics else None

    def restore(self, step: int, params: Params, training: dict[str, Any] | None = None) -> tuple[Params, Any]:
        """Read back what ``save`` was given, to the bit.

        Args:
          step: which checkpoint.
          params: parameters of the same structure, shapes and dtypes; their values do not matter.
          training: the same for ``training``; None to leave it unread.

        Raises:
          InputError: the checkpoint is damaged, or has other parameters.
        """
        import orbax.checkpoint as ocp

        items = {"params": params} if training is None else {"params": params, "training": training}
        shapes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), items)
        try:
            read = self._open().restore(
                step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore(item) for name, item in shapes.items()})
            )
        except (ValueError, KeyError, OSError) as error:
            raise InputError(
                f"the checkpoint of step {step} in {self._path} is damaged, or was written by another version of "
                "flaxchar (`debug` shows what could not be read)"
            ) from error
        # Copies: a step reuses its arguments' buffers, which it must not do with NumPy's.
        restored = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), {name: read[name] for name in items})
        return restored["params"], restored.get("training")

    def close(self) -> None:
        """Let go of Orbax' manager."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _open(self, writing: bool = False) -> Any:
        """Orbax' manager; from the first ``writing`` on, one that writes and deletes."""
        # Imported here: Orbax takes as long to import as everything else, and `--help` needs none of it.
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        if self._manager is None or (writing and not self._writing):
            self.close()
            self._writing = writing
            # Orbax warns that checkpoints saved between evaluations have no metrics, which is intended.
            logging.getLogger("absl").setLevel(logging.ERROR)

            def quality(metrics: dict[str, float]) -> float:
                bits = metrics["bits_per_character"]
                return -math.inf if math.isnan(bits) else -bits

            best = checkpoint_managers.BestN(get_metric_fn=quality, n=1, keep_checkpoints_without_metrics=False)
            keep = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(1), best])
            if writing:
                self._path.mkdir(exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._path,
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=keep,
                    best_fn=quality,
                    best_mode="max",
                    read_only=not writing,
                    enable_async_checkpointing=False,
                    # Each process by itself: Orbax need not wait for the processes that do not write.
                    create=False,
                    multiprocessing_options=ocp.options.MultiprocessingOptions(
                        primary_host=jax.process_index(), active_processes={jax.process_index()}
                    )
                    if jax.process_count() > 1
                    else ocp.options.MultiprocessingOptions(),
                    cleanup_tmp_directories=writing,
                ),
            )
        return self._manager


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


def import_orbax() -> None:
    """Import Orbax, which takes most of a second, before the first checkpoint needs it."""
    import orbax.checkpoint  # noqa: F401


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
