"""Inside a trained model: the surprise of each character, the units, the gates and the memory."""

from flaxchar.insight.trace import END, Trace, trace, trace_many

__all__ = ["END", "Trace", "trace", "trace_many"]
