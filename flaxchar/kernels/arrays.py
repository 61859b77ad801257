"""The types of a recurrent layer's arrays, with their shapes."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Bool, Float, Int

from flaxchar.data.batches import AnyArray

# The inputs of a layer over a sequence: ids or vectors.
LayerInputs = Int[AnyArray, "time batch"] | Float[AnyArray, "time batch features"]
# The recurrent state of a layer: (h, c) for an LSTM, (h,) for the other cells.
Carry = tuple[Float[AnyArray, "batch hidden"], ...]
# The mask of recurrent dropout: multiplies the state before each recurrent product. None for no dropout.
Mask = Float[AnyArray, "batch hidden"] | None
# Where a text starts and the carry is set to 0 before the step. None for nowhere.
Starts = Bool[AnyArray, "time batch"] | None
# A layer's parameters: "kernel" [features, gates * hidden], "bias" [gates * hidden] and, where the cell has them,
# "recurrent_kernel" [hidden, gates * hidden] and "recurrent_bias" [gates * hidden].
Weights = Mapping[str, Float[AnyArray, "..."]]
