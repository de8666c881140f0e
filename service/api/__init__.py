"""HTTP in and out. Knows nothing of torch."""
