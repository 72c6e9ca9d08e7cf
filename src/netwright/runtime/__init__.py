"""WHERE a run runs: device, precision, memory format, threads, randomness."""
