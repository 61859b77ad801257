"""How large a network is: its number of parameters and the memory that training it takes, from its settings alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from flaxchar.settings import ModelConfig, TrainingConfig

# Gates of each cell; whether it has a recurrent kernel; whether that has a bias (see models/cells.py).
_CELLS = {
    "lstm": (4, True, False),
    "gru": (3, True, True),
    "rnn": (1, True, False),
    "mingru": (2, False, False),
    "minlstm": (3, False, False),
}
# Arrays of the parameters' shapes that each optimizer keeps, at least.
_OPTIMIZER_COPIES = {"adam": 2, "adamw": 2, "lion": 1, "muon": 1, "rmsprop": 1, "sgd": 0}


def count_parameters(model: ModelConfig, vocab: int = 0, sources: bool = False) -> int:
    """The number of parameters of a network, computed without making it.

    Args:
      model: its settings.
      vocab: the number of ids; 0 for the part that does not depend on it.
      sources: whether it attends to a source.

    Example::

        count_parameters(ModelConfig(), vocab=84)  # 119,892
    """
    gates, recurrent, recurrent_bias = _CELLS[model.cell]
    hidden, embedding, columns = model.hidden, model.embedding, gates * model.hidden
    inputs = (embedding or vocab) + (model.layers - 1) * hidden
    each = columns + hidden * columns * recurrent + columns * recurrent_bias + 2 * hidden * model.layer_norm
    attention = 2 * hidden**2 + 1 + embedding if sources else 0
    return inputs * columns + model.layers * each + vocab * embedding + attention + hidden * vocab + vocab


def too_large(model: ModelConfig, training: TrainingConfig, memory: int | None = None) -> Iterator[str]:
    """Yield a message if the weights and what the optimizer keeps of them do not fit into this machine's memory.

    Every machine that trains holds both, if only to save them.

    Args:
      model: settings of the network.
      training: settings of the training.
      memory: bytes of this machine's memory; None to ask the system.
    """
    memory = machine_memory() if memory is None else memory
    copies = 1 + _OPTIMIZER_COPIES[training.optimizer] + (training.ema is not None)
    count = count_parameters(model)
    if memory is not None and 4 * count * copies > memory:
        network = f"`layers` is {model.layers:,}, `hidden` is {model.hidden:,} and `embedding` is {model.embedding:,}"
        yield (
            f"{network}: that is {count:.2g} parameters, and to train them takes {in_bytes(4 * count * copies)} or "
            f"more, but this machine has {in_bytes(memory)} of memory; choose a smaller network"
        )


def step_bytes(model: ModelConfig, rows: int, width: int, sources: bool = False) -> int:
    """Bytes that a training step takes at least for a batch: what its backward pass needs of the forward pass.

    These are the gates of all layers, and with ``sources`` the two softmaxes of each state over all states.

    Example::

        in_bytes(step_bytes(ModelConfig(hidden=128), rows=32, width=1_000_000))  # "65.5 GB"
    """
    attention = 2 * width if sources else 0
    return 4 * rows * width * (model.layers * _CELLS[model.cell][0] * model.hidden + attention)


def machine_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def in_bytes(count: int) -> str:
    """A number of bytes for people.

    Example::

        in_bytes(32 * 10**12)  # "32 TB"
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:,.3g} TB" if count < 1000 else f"{count:,.0f} TB"
