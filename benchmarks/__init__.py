"""Measurements with peers beside them, printed as ratios. Reports, not tests."""
