"""Devices: which devices a run trains on, and how its arrays are sharded over them.

One mesh with two axes serves a CPU, a machine's GPUs and a pod alike. The axis ``data`` divides the rows of a batch and
replicates the parameters. The axis ``model`` divides the hidden units. Several processes (``jax.distributed``) run the
same program: each makes only its own rows of a batch, and the main process writes and prints.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flaxchar.config import InputError
from flaxchar.data.batches import Batch
from flaxchar.settings import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a run's arrays are sharded over devices.

    Attributes:
      mesh: devices, ``[data_shards, model_shards]``.
    """

    mesh: Mesh

    @property
    def data_shards(self) -> int:
        """Number of shards that the rows of a batch are divided into."""
        return self.mesh.shape["data"]

    @property
    def model_shards(self) -> int:
        """Number of shards that the hidden units are divided into."""
        return self.mesh.shape["model"]

    @property
    def single(self) -> bool:
        """Whether the run has only one device."""
        return self.mesh.size == 1

    @property
    def description(self) -> str:
        """One-line description of the devices, for the report."""
        processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
        shared = f", {self.model_shards} to a model" if self.model_shards > 1 else ""
        return f"{self.mesh.size} devices{processes}{shared} ({self.mesh.devices.flat[0].device_kind})"

    def sharding(self, *axes: str | None) -> NamedSharding:
        """Sharding of an array: the mesh axis that divides each dimension; None for a dimension that is not divided."""
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def own_rows(self, rows: int) -> slice:
        """The rows that this process makes of a batch with ``rows`` rows."""
        share = rows // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    def shardings(self, tree: Any) -> Any:
        """Shardings of a ``TrainState`` or ``BatchSums``: the carry by rows of the batch, matrices along ``model``."""

        def matrix(leaf: Any) -> NamedSharding:
            divided = leaf.ndim > 1 and self.model_shards > 1 and leaf.shape[0] % self.model_shards == 0
            return self.sharding("model") if divided else self.sharding()

        return jax.tree.map(matrix, tree)._replace(carry=jax.tree.map(lambda _: self.sharding("data"), tree.carry))

    def place(self, state: Any) -> Any:
        """Move a ``TrainState`` from this process's memory to the mesh; every process has the same state."""
        if self.single:
            # Give the first state the sharding of the step's results. With another sharding, the step would be compiled
            # twice: for the first state and for the later ones.
            return jax.device_put(state, self.sharding())

        def global_array(leaf: Any, sharding: NamedSharding) -> jax.Array:
            values = np.asarray(leaf)
            return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

        return jax.tree.map(global_array, state, self.shardings(state))

    def place_key(self, key: jax.Array) -> jax.Array:
        """Move a random key to the mesh; every process has the same key."""
        if self.single:
            return key
        numbers, kind = np.asarray(jax.random.key_data(key)), jax.random.key_impl(key)
        make = jax.jit(lambda: jax.random.wrap_key_data(jnp.asarray(numbers), impl=kind), out_shardings=self.sharding())
        return make()

    def batch_shardings(self, packed: bool = False) -> Batch:
        """Shardings of a batch, with ``starts`` if it is packed: its rows are divided along ``data``."""
        rows = self.sharding("data")
        return Batch(rows, rows, rows, self.sharding(), rows if packed else None)

    def place_batch(self, own: Batch, rows: int) -> Batch:
        """Move a batch of ``rows`` rows to the mesh; ``own`` is the rows that this process has made."""
        if self.single:
            return own
        shardings = self.batch_shardings(own.starts is not None)
        if jax.process_count() == 1:
            return jax.device_put(own, shardings)

        def global_array(part: Any, sharding: NamedSharding) -> jax.Array:
            shape = (rows, *part.shape[1:]) if part.ndim else ()
            return jax.make_array_from_process_local_data(sharding, np.asarray(part), shape)

        return jax.tree.map(global_array, own, shardings)

    def local(self, tree: Any) -> Any:
        """Gather global arrays on one device of this process. Collective: every process must call it."""
        return tree if self.single else jax.device_put(self.fetch(tree), jax.local_devices()[0])

    def fetch(self, tree: Any) -> Any:
        """Gather global arrays as NumPy arrays. Collective: every process must call it."""

        def whole(leaf: Any) -> np.ndarray:
            if leaf.is_fully_addressable or leaf.is_fully_replicated:
                return np.array(leaf if leaf.is_fully_addressable else leaf.addressable_data(0))
            from jax.experimental import multihost_utils

            return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

        return jax.tree.map(whole, tree)


def leads() -> bool:
    """Whether this is the main process, which writes and prints."""
    return jax.process_index() == 0


def agree(value: Any) -> Any:
    """Broadcast the main process's int, float or bool. Collective: every process must call it."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    # The float64 travels as two uint32: without jax_enable_x64 a device would round it to float32.
    halves = np.array([value], np.float64).view(np.uint32)
    return type(value)(np.asarray(multihost_utils.broadcast_one_to_all(halves)).view(np.float64)[0])


def on_host() -> contextlib.AbstractContextManager:
    """Compute on the CPU in this context: a GPU would compile longer than the CPU computes, and round differently."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX was told to use the GPU alone
        return contextlib.nullcontext()


def single_device() -> Layout:
    """The layout of a run on the first device of this process."""
    return Layout(_mesh(np.array([[jax.local_devices()[0]]])))


def make_layout(config: TrainingConfig, devices: int | None = None, model_shards: int = 1) -> Layout:
    """The layout of a run on several devices.

    Args:
      config: its ``batch_size`` must be a multiple of the number of data shards.
      devices: number of devices of each process; None for all.
      model_shards: number of devices that divide the units of one model.

    Raises:
      InputError: the machine has fewer devices, or the devices or a batch's rows cannot be divided evenly.
    """
    available = jax.local_device_count()
    devices = available if devices is None else devices
    if not 1 <= devices <= available:
        kind = jax.devices()[0].device_kind
        raise InputError(f"`devices` is {devices}; this machine has {available} ({kind})")
    if model_shards < 1 or devices % model_shards:
        raise InputError(f"`model_shards` is {model_shards}; it must divide the {devices} devices of a process")
    by_process: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        by_process.setdefault(device.process_index, []).append(device)
    used = [device for process in sorted(by_process) for device in by_process[process][:devices]]
    grid = np.array(used).reshape(-1, model_shards)
    if config.batch_size % len(grid):
        raise InputError(
            f"`batch_size` is {config.batch_size}, which {len(grid)} devices cannot share evenly; choose a multiple of "
            f"{len(grid)}, or fewer `devices`"
        )
    return Layout(_mesh(grid))


def _mesh(grid: np.ndarray) -> Mesh:
    """Mesh of a grid of devices ``[data_shards, model_shards]``."""
    return Mesh(grid, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))
