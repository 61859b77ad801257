"""The network: recurrences, cells, attention to a source, the language model and its losses."""
