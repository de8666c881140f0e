"""Class probabilities of many images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.evaluation.audit.features import Features
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels

_MIN_BATCH = 32


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts with an engine, in batches.

    Attributes
    ----------
    engine : Engine
        The network.
    on_images : callable
        Called with the number of images of each batch that is done.
    """

    engine: Engine
    on_images: Callable[[int], object] = lambda _: None

    def probabilities(self, pixels: Pixels) -> Features:
        """Softmax probabilities, float64 of shape (N, num_classes)."""
        size = max(_MIN_BATCH, self.engine.batch_size(None))
        logits = []
        for first in range(0, len(pixels), size):
            batch = pixels[first : first + size]
            logits += [one.logits for one in self.engine.predict(list(batch))]
            self.on_images(len(batch))
        values = np.stack(logits).astype(np.float64)
        values = np.exp(values - values.max(1, keepdims=True))
        probabilities: Features = values / values.sum(1, keepdims=True)
        return probabilities
