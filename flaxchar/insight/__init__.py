"""What can be seen inside a trained model: its surprise at each character, its units, its gates and its memory."""

from flaxchar.insight.trace import END, Trace, trace, trace_many

__all__ = ["END", "Trace", "trace", "trace_many"]
