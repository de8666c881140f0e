"""The engine without a server: images explained per second at the best batch size."""

from __future__ import annotations

import time

import numpy as np
import typer

from service.methods import Method
from service.models.registry import find_bundle
from service.runtime.engines import load_engines
from service.runtime.jobs import ExplainJob
from service.settings import DEFAULT_MODEL

SIZES = (1, 2, 4, 8, 16, 32)


def main(seconds: float) -> None:
    """Print the highest rate over all batch sizes."""
    engine = load_engines({DEFAULT_MODEL: find_bundle(DEFAULT_MODEL)}, "cpu")[DEFAULT_MODEL]
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    job = ExplainJob(pixels, DEFAULT_MODEL, Method())
    rates = []
    for size in SIZES:
        engine.run([job] * size)  # the first one takes longer
        n, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / len(SIZES):
            engine.run([job] * size)
            n += size
        rates.append(n / (time.perf_counter() - began))
    typer.echo(max(rates))
