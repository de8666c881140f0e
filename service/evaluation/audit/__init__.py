"""Audit of a network on a data set: groups of images that it explains alike, and why it may."""
