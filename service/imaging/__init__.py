"""Bytes to pixels, and relevance to pictures. Needs no torch."""
