"""From files and data sets to batches: examples, vocabulary, ids, padded arrays."""
