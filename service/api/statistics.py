"""Statistics of the images of each model, as the Open Inference Protocol reports them.

Those of one worker process, since its start; `/metrics` has those of all workers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class ModelStatistics:
    """Images of a model, and their durations.

    Attributes
    ----------
    n_done, n_failed : int
        Images with a result, and without.
    n_batches : float
        Batches of the former, each by the share of the image.
    done_ms, failed_ms, queue_ms, compute_ms : float
        Total durations: of all, in the queue, and of the images' batches.
    last_s : float
        Unix time of the last image, in seconds; 0 without one.
    """

    n_done: int = 0
    n_failed: int = 0
    n_batches: float = 0.0
    done_ms: float = 0.0
    failed_ms: float = 0.0
    queue_ms: float = 0.0
    compute_ms: float = 0.0
    last_s: float = 0.0

    @contextmanager
    def count_image(self) -> Iterator[None]:
        """Count an image that is computed in the block."""
        started_at = time.perf_counter()
        is_done = False
        try:
            yield
            is_done = True
        finally:
            self.last_s = time.time()
            ms = (time.perf_counter() - started_at) * 1e3
            if is_done:
                self.n_done, self.done_ms = self.n_done + 1, self.done_ms + ms
            else:
                self.n_failed, self.failed_ms = self.n_failed + 1, self.failed_ms + ms

    def add_batch(self, queue_ms: float, compute_ms: float, batch_size: int) -> None:
        """Add the durations of an image's job."""
        self.queue_ms += queue_ms
        self.compute_ms += compute_ms
        self.n_batches += 1 / batch_size


class Statistics:
    """The statistics of all models, by their names."""

    def __init__(self) -> None:
        self._models: defaultdict[str, ModelStatistics] = defaultdict(ModelStatistics)

    def of(self, model: str) -> ModelStatistics:
        """The statistics of a model that is served."""
        return self._models[model]
