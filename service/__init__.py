"""lrpserve: what a network sees in an image, and which pixels made it say so."""

__version__ = "0.1.0"
