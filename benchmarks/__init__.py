"""Benchmarks: ratios to zennit and to other services, measured in turns. Reports, not tests."""
