"""Relevance of many images with one method, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.methods import Method, Start
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation, Floats, Pixels

Indices = NDArray[np.int64]
ProgressFn = Callable[[int], object]  # the number of images that are done since the last call
# an attributor with samples makes batches of its own, which are as large for one image
_MIN_BATCH = 8


@dataclass(frozen=True, eq=False)
class Maps:
    """Explanations of N images.

    Attributes
    ----------
    relevance : NDArray[float32]
        Summed over the colour channels, shape (N, H, W).
    targets : NDArray[int64]
        Index of the class that was explained, shape (N,).
    logits : NDArray[float32]
        Shape (N, num_classes).
    totals : NDArray[float32]
        The relevance at the output, before it is propagated, shape (N,).
    layers : mapping of str to NDArray[float32]
        Relevance at each of `Method.layers`, as the method keeps it, with N first.
    """

    relevance: Floats
    targets: Indices
    logits: Floats
    totals: Floats
    layers: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    def subset(self, indices: Indices) -> Maps:
        """Take some images, in the order of `indices`."""
        return replace(
            self,
            relevance=self.relevance[indices],
            targets=self.targets[indices],
            logits=self.logits[indices],
            totals=self.totals[indices],
            layers={name: values[indices] for name, values in self.layers.items()},
        )


def explain_maps(
    engine: Engine,
    pixels: Pixels,
    method: Method,
    targets: Indices | None = None,
    start: Start | None = None,
    *,
    contrasts: Indices | None = None,
    progress: ProgressFn | None = None,
) -> Maps:
    """Explain images in batches of the engine's best size.

    Parameters
    ----------
    engine : Engine
        The network; used by this thread only.
    pixels : NDArray[uint8]
        RGB, shape (N, H, W, 3), of the size that the network takes; N is at least 1.
    method : Method
        The attributor, the rules and the layers. The input is explained: `Method.layer` is not
        another.
    targets : NDArray[int64], optional
        Index of the class to explain, shape (N,); the predicted class by default.
    start : {"one_hot", "logit"}, optional
        Relevance at the target; the method's default by default.
    contrasts : NDArray[int64], optional
        Index of the class to explain each target against, shape (N,).
    progress : callable, optional
        Called after each batch with the number of its images.

    Raises
    ------
    ServiceError
        As `Engine.explain` does: of the first image that has an error.
    """
    name = engine.card.name
    jobs = [
        ExplainJob(
            image,
            name,
            method,
            (None if targets is None else int(targets[index]),),
            None if contrasts is None else int(contrasts[index]),
            start,
        )
        for index, image in enumerate(pixels)
    ]
    return _collect(_explanations(engine, jobs, progress))


def _explanations(
    engine: Engine, jobs: list[ExplainJob], progress: ProgressFn | None
) -> Iterator[Explanation]:
    size = max(_MIN_BATCH, engine.batch_size(jobs[0].method))
    for first in range(0, len(jobs), size):
        found = engine.explain(jobs[first : first + size])
        if progress:
            progress(len(found))
        yield from found


def _collect(explanations: Iterator[Explanation]) -> Maps:
    relevance, targets, logits, totals = [], [], [], []
    layers: dict[str, list[Floats]] = {}
    for explanation in explanations:
        (attribution,) = explanation.attributions
        relevance.append(attribution.relevance.sum(0))
        targets.append(attribution.target)
        logits.append(explanation.logits)
        totals.append(attribution.total)
        for name, values in attribution.layers.items():
            layers.setdefault(name, []).append(values)
    return Maps(
        np.stack(relevance).astype(np.float32),
        np.array(targets, dtype=np.int64),
        np.stack(logits),
        np.array(totals, dtype=np.float32),
        {name: np.stack(values) for name, values in layers.items()},
    )
