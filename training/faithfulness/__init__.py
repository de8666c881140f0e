"""Faithfulness of every method on a test set, with baselines and controls."""
