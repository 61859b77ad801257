"""Devices: which of them train together, and how a run's arrays lie on them.

One mesh with two axes serves one CPU, a machine's GPUs and a pod alike. Along ``data`` each device takes its share of a
batch's rows and has all parameters; along ``model`` each has a share of the hidden units. Several processes
(``jax.distributed``) run the same program: each makes only its own rows of a batch, and the first writes and prints.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flaxchar.config import InputError, TrainingConfig
from flaxchar.data.batches import Batch


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the arrays of a run lie on devices.

    Attributes:
      mesh: devices, ``[data, model]``.
    """

    mesh: Mesh

    @property
    def data(self) -> int:
        """Among how many devices the rows of a batch are shared."""
        return self.mesh.shape["data"]

    @property
    def model(self) -> int:
        """Among how many devices the hidden units are shared."""
        return self.mesh.shape["model"]

    @property
    def alone(self) -> bool:
        """Whether there is one device only."""
        return self.mesh.size == 1

    def describe(self) -> str:
        """The devices in a few words for people."""
        processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
        shared = f", {self.model} to a model" if self.model > 1 else ""
        return f"{self.mesh.size} devices{processes}{shared} ({self.mesh.devices.flat[0].device_kind})"

    def sharding(self, *axes: str | None) -> NamedSharding:
        """Array dimensions along mesh axes."""
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def own_rows(self, rows: int) -> slice:
        """Which rows of a batch this process makes."""
        share = rows // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    def shardings(self, tree: Any) -> Any:
        """How a ``TrainState`` or ``BatchSums`` lies: the carry by rows of the batch, matrices along ``model``."""

        def matrix(leaf: Any) -> NamedSharding:
            shared = leaf.ndim > 1 and self.model > 1 and leaf.shape[0] % self.model == 0
            return self.sharding("model") if shared else self.sharding()

        return jax.tree.map(matrix, tree)._replace(carry=jax.tree.map(lambda _: self.sharding("data"), tree.carry))

    def place(self, state: Any) -> Any:
        """A ``TrainState`` from this process' own memory, on the mesh; every process has the same."""
        if self.alone:
            # Where the step leaves it; elsewhere, what is compiled for the first state would be compiled again.
            return jax.device_put(state, self.sharding())

        def global_array(leaf: Any, sharding: NamedSharding) -> jax.Array:
            values = np.asarray(leaf)
            return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

        return jax.tree.map(global_array, state, self.shardings(state))

    def place_key(self, key: jax.Array) -> jax.Array:
        """A random key that every process has, on the mesh."""
        if self.alone:
            return key
        numbers, kind = np.asarray(jax.random.key_data(key)), jax.random.key_impl(key)
        make = jax.jit(lambda: jax.random.wrap_key_data(jnp.asarray(numbers), impl=kind), out_shardings=self.sharding())
        return make()

    def batch_shardings(self) -> Batch:
        """How a batch lies: by rows."""
        rows = self.sharding("data")
        return Batch(rows, rows, rows, self.sharding())

    def place_batch(self, own: Batch, rows: int) -> Batch:
        """A batch of ``rows`` rows on the mesh, from this process' own rows of it."""
        if self.alone:
            return own
        if jax.process_count() == 1:
            return jax.device_put(own, self.batch_shardings())

        def global_array(part: Any, sharding: NamedSharding) -> jax.Array:
            shape = (rows, *part.shape[1:]) if part.ndim else ()
            return jax.make_array_from_process_local_data(sharding, np.asarray(part), shape)

        return jax.tree.map(global_array, own, self.batch_shardings())

    def local(self, tree: Any) -> Any:
        """Global arrays, whole, on one device of this process; every process must ask for them."""
        return tree if self.alone else jax.device_put(self.fetch(tree), jax.local_devices()[0])

    def fetch(self, tree: Any) -> Any:
        """Global arrays as NumPy arrays, whole; every process must ask for them."""

        def whole(leaf: Any) -> np.ndarray:
            if leaf.is_fully_addressable or leaf.is_fully_replicated:
                return np.array(leaf if leaf.is_fully_addressable else leaf.addressable_data(0))
            from jax.experimental import multihost_utils

            return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

        return jax.tree.map(whole, tree)


def leads() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def agree(value: Any) -> Any:
    """The first process' int, float or bool, on every process; every process must ask for it."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    # Two halves of a float64: without jax_enable_x64 a device would round it.
    halves = np.array([value], np.float64).view(np.uint32)
    return type(value)(np.asarray(multihost_utils.broadcast_one_to_all(halves)).view(np.float64)[0])


def make_layout(config: TrainingConfig, devices: int | None = None, model_shards: int = 1) -> Layout:
    """The devices of a run: ``devices`` of each process (None for all), ``model_shards`` of them for each model.

    Raises:
      InputError: there are not so many, or they or a batch's rows cannot be divided so.
    """
    available = jax.local_device_count()
    devices = available if devices is None else devices
    if not 1 <= devices <= available:
        kind = jax.devices()[0].device_kind
        raise InputError(f"--devices is {devices}; this machine has {available} ({kind})")
    if model_shards < 1 or devices % model_shards:
        raise InputError(f"--model-shards is {model_shards}; it must divide the {devices} devices of a process")
    by_process: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        by_process.setdefault(device.process_index, []).append(device)
    used = [device for process in sorted(by_process) for device in by_process[process][:devices]]
    grid = np.array(used).reshape(-1, model_shards)
    if config.batch_size % len(grid):
        raise InputError(
            f"--batch-size is {config.batch_size}, which {len(grid)} devices cannot share evenly; name a multiple of "
            f"{len(grid)}, or fewer --devices"
        )
    return Layout(Mesh(grid, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto)))
