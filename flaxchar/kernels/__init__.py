"""Fast code for the CPU: a C++ kernel that is compiled on first use, and JAX's random numbers.

The modules, in the order in which to read them: ``arrays`` (types), ``build`` (compile and load the C++ in ``src``),
``cpu`` (the recurrent layer and the cross-entropy), ``cpu_decode`` (the decode loop), ``random`` (random numbers).
"""

from flaxchar.kernels.arrays import Carry, Mask, Weights
from flaxchar.kernels.build import available, prepare, processor, status
from flaxchar.kernels.cpu import NATIVE_CELLS, cross_entropy, sequence
from flaxchar.kernels.cpu_decode import DecodeBuffers, decode
from flaxchar.kernels.random import fold_in, new_key

__all__ = [
    "NATIVE_CELLS",  # the cells that the native kernel implements
    "Carry",  # the recurrent state of a layer
    "DecodeBuffers",  # the state of the decode loop
    "Mask",  # recurrent dropout's mask
    "Weights",  # the parameters of a layer
    "available",  # whether the native kernel can be used
    "cross_entropy",  # nats of targets under a softmax
    "decode",  # the decode loop
    "fold_in",  # (key, numbers) → keys
    "new_key",  # seed → key
    "prepare",  # compile the native kernel in the background
    "processor",  # a key for the kind of processor
    "sequence",  # a recurrent layer over a sequence
    "status",  # how the recurrence runs, for the report
]
