"""What a trained model says of texts: scores, classes, compression, novelty, and the baselines beside it."""
