"""Decoding of images and rendering of relevance. Needs no torch."""
