"""Attributors: the gradient, and those that average or compare several passes."""
