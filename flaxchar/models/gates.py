"""The gates of a recurrent layer at every step, computed afterwards from its inputs and its hidden states.

Training and writing need no gates, so the layers do not keep them. Once the hidden states are known, the gates of all
steps follow from one matrix product. The equations are those of ``flaxchar.models.lstm`` and ``flaxchar.models.cells``.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from flaxchar.data.batches import AnyArray
from flaxchar.kernels.arrays import Carry, LayerInputs, Weights
from flaxchar.models.projection import DType, product, project

Gates = dict[str, Float[AnyArray, "time batch hidden"]]


def layer_gates(
    cell: str,
    inputs: LayerInputs,
    weights: Weights,
    carry: Carry,
    states: Float[AnyArray, "time batch hidden"],
    dtype: DType = "float32",
) -> Gates:
    """The gates of a layer over a sequence.

    Args:
      cell: the cell's name in ``CELLS``.
      inputs: the layer's inputs: ids ``[time, batch]`` or vectors ``[time, batch, features]``.
      weights: the layer's parameters, the embedding multiplied in.
      carry: the state before the first step, arrays ``[batch, hidden]``.
      states: the hidden states that the layer computed, ``[time, batch, hidden]``.
      dtype: the type in which matrix products are computed.

    Returns:
      By cell, each float32 ``[time, batch, hidden]``, all but ``"cell"`` between 0 and 1:

      - ``lstm``: ``"input"``, ``"forget"``, ``"output"``, and ``"cell"``, the cell state ``c``
      - ``gru``: ``"update"`` (``z``) and ``"reset"`` (``r``)
      - ``mingru``: ``"update"`` (``z``)
      - ``minlstm``: ``"forget"``, normalised: ``f / (f + i)``; the input gate is the rest to 1
      - ``rnn``: nothing, because it has no gates

    Example::

        hs, _ = CELLS["gru"].sequence(ids, weights, carry, None, "float32")
        layer_gates("gru", ids, weights, carry, hs)["update"]  # [time, batch, hidden]
    """
    if cell == "rnn":
        return {}
    projected = project(inputs, weights["kernel"], weights["bias"], dtype)
    before = jnp.concatenate([carry[0][None], states[:-1]])
    if cell == "lstm":
        z = projected + product(before, weights["recurrent_kernel"], dtype)
        z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
        i, f, o = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_f), jax.nn.sigmoid(z_o)

        def step(c: Array, gates: tuple[Array, Array]) -> tuple[Array, Array]:
            c = gates[0] * c + gates[1]
            return c, c

        _, cs = lax.scan(step, carry[1], (f, i * jnp.tanh(z_g)))
        return {"input": i, "forget": f, "output": o, "cell": cs}
    if cell == "gru":
        a_z, a_r, _ = jnp.split(projected, 3, axis=-1)
        recurrent = product(before, weights["recurrent_kernel"], dtype) + weights["recurrent_bias"]
        q_z, q_r, _ = jnp.split(recurrent, 3, axis=-1)
        return {"update": jax.nn.sigmoid(a_z + q_z), "reset": jax.nn.sigmoid(a_r + q_r)}
    if cell == "mingru":
        return {"update": jax.nn.sigmoid(jnp.split(projected, 2, axis=-1)[0])}
    if cell == "minlstm":
        a_f, a_i, _ = jnp.split(projected, 3, axis=-1)
        return {"forget": jax.nn.sigmoid(jax.nn.log_sigmoid(a_f) - jax.nn.log_sigmoid(a_i))}
    raise ValueError(f"no gates are known for the cell {cell!r}")


def retention(cell: str, gates: Mapping[str, AnyArray]) -> AnyArray | None:
    """The factor by which each unit multiplies its old state, between 0 and 1; None for a cell without one.

    It is the forget gate of an LSTM or minLSTM, ``z`` of a GRU, and ``1 - z`` of a minGRU. (In this form of the GRU
    ``z`` multiplies the old state, in the minGRU the new one.)

    Args:
      cell: the cell's name.
      gates: the result of ``layer_gates``, or the ``gates`` of a ``Trace``; any shape.
    """
    match cell:
        case "lstm" | "minlstm":
            return gates["forget"]
        case "gru":
            return gates["update"]
        case "mingru":
            return 1 - gates["update"]
        case _:
            return None
