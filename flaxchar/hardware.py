"""Hardware: the device that JAX computes on, and every choice that depends on it.

A CPU computes one row after another, so small batches and little padding are fast there. A GPU computes thousands of
rows in parallel, but every program takes seconds to compile, and every step of a recurrence takes as long as
the start of a few kernels. The numbers below were measured on an H200 (``docs/decisions/gpu.md``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator

# Bytes of memory that a device is assumed to have if it does not report them.
_USUAL_MEMORY = 8 << 30
# A batch without a backward pass may take this share of a GPU's memory, and has at most so many rows.
_ROWS_SHARE, _MOST_ROWS = 1 / 32, 4096


@dataclasses.dataclass(frozen=True)
class Hardware:
    """A device that JAX computes on.

    Attributes:
      platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
      name: the device's name, for the report.
      memory: its memory in bytes; None if unknown.

    Example::

        Hardware("gpu", "NVIDIA H200", 141 << 30).unroll  # 8
    """

    platform: str = "cpu"
    name: str = "CPU"
    memory: int | None = None

    @property
    def wide(self) -> bool:
        """Whether the device computes thousands of rows in parallel: true for a GPU and a TPU."""
        return self.platform != "cpu"

    @property
    def unroll(self) -> int:
        """Time steps in one iteration of a compiled recurrence.

        On a GPU an iteration has a cost of its own. Eight steps in each were the fastest at nearly every size: a
        quarter to a half faster than one, and as fast as 16, which takes twice as long to compile.
        """
        return 8 if self.platform == "gpu" else 1

    def generation_rows(self, floats: int) -> int:
        """Rows of JAX's decode loop; the number of texts asked for does not change it.

        A matrix product may round differently for another number of rows, and sample ``i`` must not depend on how many
        samples are drawn. On a GPU 4,096 rows take twice as long as 16.

        Args:
          floats: values of 4 bytes that the loop keeps for each row.
        """
        return self._affordable_rows(floats, fewest=16) if self.wide else 16

    @property
    def decode_stretch(self) -> int:
        """Tokens that the decode loop draws between two checks whether all texts are finished.

        At each check a GPU waits until the host has fetched the answer.
        """
        return 16 if self.wide else 1

    @property
    def steps_under_way(self) -> int:
        """Training steps that may wait for the device.

        With two, the host makes the next batch while a CPU computes. A GPU finishes a step before the
        host can react to it, so the host enqueues many steps and reads their losses together.
        """
        return 32 if self.wide else 2

    @property
    def compiled_at_once(self) -> int:
        """Programs that are compiled at the same time. One for a GPU takes long and leaves its core partly idle."""
        return 8 if self.wide else 2

    @property
    def batches_ahead(self) -> int:
        """Training batches that the host makes and sends in advance; 0 for a CPU, whose cores also take the steps."""
        return 4 if self.wide else 0

    @property
    def evaluation_widths(self) -> int:
        """The most batch widths of an evaluation. Each costs a compilation and saves padding."""
        return 1 if self.wide else 4

    def evaluation_rows(self, width: int, floats: int) -> int:
        """Rows of a batch without a backward pass.

        Args:
          width: time steps of the batch.
          floats: float32 values that the network computes for each position.

        Returns:
          64 on a CPU. On a GPU, the power of two up to 4,096 whose activations take a small share of the memory.
        """
        return self._affordable_rows(width * floats, fewest=64) if self.wide else 64

    def _affordable_rows(self, floats: int, fewest: int) -> int:
        """The power of two up to 4,096 whose rows, each of ``floats`` values of 4 bytes, take a share of the memory."""
        affordable = int(_ROWS_SHARE * (self.memory or _USUAL_MEMORY)) // (4 * floats)
        return min(_MOST_ROWS, max(fewest, 1 << max(0, affordable.bit_length() - 1)))


_described: Hardware | None = None


def this_hardware() -> Hardware:
    """Describe the device that JAX computes on.

    Example::

        this_hardware().platform  # 'cpu'
    """
    return _described or _first_device()


@functools.cache
def _first_device() -> Hardware:
    import jax

    device = jax.local_devices()[0]
    platform = {"cuda": "gpu", "rocm": "gpu"}.get(device.platform, device.platform)
    statistics = device.memory_stats() if platform != "cpu" else None
    return Hardware(platform, device.device_kind, (statistics or {}).get("bytes_limit"))


@contextlib.contextmanager
def described_as(hardware: Hardware) -> Iterator[None]:
    """Make the choices for other hardware, so that they can be tested and planned on a machine without it.

    Programs that were traced before keep their choices.

    Example::

        with described_as(Hardware("gpu", "NVIDIA H200", 141 << 30)):
            print(make_preset("default", 1_000_000).training.batch_size)
    """
    global _described  # noqa: PLW0603  the only place that sets it
    before, _described = _described, hardware
    try:
        yield
    finally:
        _described = before
