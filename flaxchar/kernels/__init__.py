"""Fast code for the CPU: a C++ kernel that is compiled on first use, and JAX's random numbers.

The modules, in reading order: ``arrays`` (types), ``build`` (compile and load the C++ in ``src``), ``cpu`` (recurrent
layer, cross-entropy, random bits), ``cpu_decode`` (the decode loop), ``random`` (random numbers), ``forks`` (an error
in forked processes).
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
    "Mask",  # the mask of recurrent dropout
    "Weights",  # the parameters of a layer
    "available",  # whether the native kernel can be used
    "cross_entropy",  # nats of the targets
    "decode",  # the decode loop
    "fold_in",  # (key, numbers) → keys
    "new_key",  # seed → key
    "prepare",  # compile the native kernel in the background
    "processor",  # a cache key for the kind of processor
    "sequence",  # a recurrent layer over a sequence
    "status",  # whether the kernel runs and why not, for the report
]
