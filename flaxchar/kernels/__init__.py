"""The CPU's own code: the C++ kernel, compiled on first use, and the random numbers."""
