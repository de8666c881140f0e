"""Versions of the libraries that a measurement depends on."""

from __future__ import annotations

import sys

import numpy as np
import torch

from service import __version__


def library_versions() -> dict[str, str]:
    """Versions by name."""
    return {
        "lrpserve": __version__,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
