"""From batches to trained parameters: optimiser, training step, loop, plan and run directory."""
