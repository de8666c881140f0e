"""The HTTP API. Needs no torch."""
