"""batches -> weights: fit, one step, optimizer, schedule, checkpoint."""
