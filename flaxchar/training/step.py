"""The training step: one step of gradient descent on a batch.

A step runs the three programs of ``training/gradients.py``. The gradients are compiled for each batch width, the other
two programs once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.stages import Lowered

from flaxchar.data.batches import Batch
from flaxchar.hardware import this_hardware
from flaxchar.kernels.random import is_threefry, new_key
from flaxchar.models.charlm import CharLM
from flaxchar.training.devices import Layout, single_device
from flaxchar.training.gradients import BatchSums, StepSums, apply_gradients, batch_gradients, row_keys
from flaxchar.training.state import TrainState


class TrainStep:
    """One step of gradient descent on the mean cross-entropy over a batch's mask.

    The first batch of each width compiles the step for that width. ``compile`` does so in advance, for several widths.

    Attributes:
      layout: the devices.

    Example::

        step = TrainStep(model, optimizer, jax.random.key(1))
        state = init_state(model, optimizer, batches.rows, jax.random.key(0))
        for k in range(100):
            state, sums = step(state, batches.batch(k), learning_rate=0.01)
        print(sums.nats / sums.tokens)  # nats per token of the last batch
    """

    def __init__(
        self,
        model: CharLM,
        optimizer: optax.GradientTransformation,
        key: Array,
        layout: Layout | None = None,
        ema: float | None = None,
    ) -> None:
        """Prepare a step; nothing is compiled yet.

        Args:
          model: the model.
          optimizer: from ``make_optimizer``.
          key: the run's random key, from which the keys of each step and row are derived.
          layout: the devices; None for one.
          ema: decay of the parameters' moving average; None if the state keeps none.
        """
        self.layout = single_device() if layout is None else layout
        self._model, self._optimizer, self._ema = model, optimizer, ema
        self._key = self.layout.place_key(_faster_key(key))
        self._gradients: dict[tuple[int, int], Callable] = {}  # by rows and width
        self._updates: dict[int, Callable] = {}  # by rows

    def compile(
        self,
        state: TrainState,
        rows: int,
        widths: Sequence[int],
        packed: bool = False,
        told: Callable[[int, int], None] = lambda done, programs: None,
    ) -> None:
        """Compile the step for several batch widths. Threads compile in parallel, because XLA releases the GIL.

        Args:
          state: a state of the run, for its shapes; it is not changed.
          rows: rows of the whole batch, including those of other processes.
          widths: batch widths, in time steps.
          packed: whether the batches say where texts start (``Batch.starts``).
          told: called with the number of compiled programs and the number of all programs, first with 0.
        """
        new = [width for width in widths if (rows, width) not in self._gradients]
        if not new:
            return
        with ThreadPoolExecutor(this_hardware().compiled_at_once) as pool:
            keys = row_keys(self._key, state.step, rows, self.layout)
            first = self._lower_gradients(state, keys, new[0], packed)
            # The update goes first, because it takes longer to compile than the gradients of one width.
            update = None if rows in self._updates else pool.submit(self._compile_update, state, first.out_info)
            lowered = (first if width == new[0] else None for width in new)

            def compiled(width: int, lowered: Lowered | None) -> Callable:
                return (lowered or self._lower_gradients(state, keys, width, packed)).compile()

            count = len(new) + (update is not None)
            told(0, count)
            for done, (width, program) in enumerate(zip(new, pool.map(compiled, new, lowered), strict=True), start=1):
                self._gradients[rows, width] = program
                told(done, count)
            if update is not None:
                self._updates[rows] = update.result()
                told(count, count)

    def __call__(
        self, state: TrainState, batch: Batch, learning_rate: float | np.floating
    ) -> tuple[TrainState, StepSums]:
        """Take a step.

        Args:
          state: the state before the step, sharded by the layout. Its buffers are donated: do not use it afterwards.
          batch: this process's rows of the batch, ``[rows, time]``: int32 ids and a bool mask.
          learning_rate: the learning rate of this step.

        Returns:
          The state after the step, and the sums over its batch. The device may still be computing both.
        """
        own, width = batch.inputs.shape
        rows = own * jax.process_count()
        if (rows, width) not in self._gradients:
            self.compile(state, rows, [width], batch.starts is not None)
        placed = self.layout.place_batch(batch, rows)
        keys = row_keys(self._key, state.step, rows, self.layout)
        sums = self._gradients[rows, width](state.params, state.carry, placed, keys)
        return self._updates[rows](state, sums, np.asarray(learning_rate, np.float32))

    def _lower_gradients(self, state: TrainState, keys: Array, width: int, packed: bool) -> Lowered:
        """Trace and lower the gradients of a batch ``[rows, width]``; ``keys`` are the keys of its rows."""
        rows = len(keys)
        ids, bools = ((rows, width), jnp.int32), ((rows, width), jnp.bool_)
        shapes = Batch(ids, ids, bools, ((), jnp.bool_), bools if packed else None)
        shardings = [None] * 5 if self.layout.single else self.layout.batch_shardings(packed)
        batch = Batch(*(s and jax.ShapeDtypeStruct(*s, sharding=how) for s, how in zip(shapes, shardings, strict=True)))
        with jax.set_mesh(self.layout.mesh):
            return batch_gradients.lower(self._model, state.params, state.carry, batch, keys, self.layout)

    def _compile_update(self, state: TrainState, sums: BatchSums) -> Callable:
        """Compile the update for a state and sums of these shapes."""
        placed = jax.tree.map(
            lambda leaf, how: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=how),
            sums,
            self.layout.shardings(sums),
        )
        with jax.set_mesh(self.layout.mesh):
            return apply_gradients.lower(
                self._optimizer, state, placed, np.float32(0), self.layout, self._ema
            ).compile()


def _faster_key(key: Array) -> Array:
    """The key for flaxchar's implementation of Threefry, which gives the same random numbers faster."""
    if not is_threefry(key):
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=jax.random.key_impl(new_key(0)))
