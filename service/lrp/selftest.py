"""The twin against zennit on the network at hand: the proof that its numbers can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.errors import OptionError
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, DEFAULT_ATTRIBUTOR, Method, Rules, make_method

# largest difference, relative to the largest relevance
LIMITS: Mapping[torch.dtype, float] = {torch.float64: 1e-9, torch.float32: 1e-4}

BATCH_LIMIT = 1e-5  # between alone and in a batch, relative to the largest value


@dataclass(frozen=True)
class Check:
    """How far the twin is from zennit.

    Attributes
    ----------
    composite : str
        With its defaults.
    dtype : str
        `float64` or `float32`.
    engine : {"twin", "zennit"}
        What ran; zennit is not far from itself. `-` for a composite that does not fit the network.
    difference : float
        The largest, relative to the largest relevance of an image.
    limit : float
        How large it may be.
    """

    composite: str
    dtype: str
    engine: str
    difference: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the limit."""
        return self.difference <= self.limit


def check(explainer: Explainer, images: Tensor, method: Method) -> Check:
    """Compare relevance of images, shape (N, C, H, W), for the predicted classes.

    Raises
    ------
    OptionError
        The method does not fit the network.
    """
    images = explainer.network.arrange(images)
    prepared = explainer.prepare(method)
    is_logit = prepared.default_start == "logit"
    starts = [OutputRelevance.predicted(len(images), images.device, is_logit=is_logit)]
    stabilizers = images.new_tensor([method.stabilizers])
    found = prepared.gradient.attribute(images, starts, stabilizers)
    wanted = explainer.oracle(method).attribute(images, starts)
    dtype = str(images.dtype).removeprefix("torch.")
    apart = difference(found.relevances[0], wanted.relevances[0])
    return Check(method.composite, dtype, prepared.engine, apart, LIMITS[images.dtype])


def difference(found: Tensor, wanted: Tensor) -> float:
    """Largest difference within an image, relative to its largest relevance; inf if not finite."""
    apart = (found - wanted).abs().flatten(1).amax(1)
    largest = wanted.abs().flatten(1).amax(1).clamp(min=torch.finfo(wanted.dtype).tiny)
    share = float((apart / largest).max())
    return float("inf") if math.isnan(share) else share


def verify(explainer: Explainer, images: Tensor, own: Mapping[str, Rules]) -> Iterator[Check]:
    """Check every composite, and those that a bundle brings, in both precisions.

    Each is checked with one image and with all: torch may compute one image in another way. The
    larger difference counts.

    Parameters
    ----------
    explainer : Explainer
        In float32.
    images : Tensor
        Normalized, float32 of shape (N, C, H, W).
    own : mapping of str to rules
        Composites that the model's bundle brings.
    """
    for explainer_of_type, batch in _precisions(explainer, images):
        for name in (*COMPOSITES, *own):
            method = make_method(name, DEFAULT_ATTRIBUTOR, {}, own=own)
            try:
                checks = [check(explainer_of_type, part, method) for part in (batch[:1], batch)]
                yield max(checks, key=lambda one: one.difference)
            except OptionError:  # such as a box for a network whose first layer is none
                dtype = str(batch.dtype).removeprefix("torch.")
                yield Check(name, dtype, "-", 0.0, LIMITS[batch.dtype])


def batch_difference(explainer: Explainer, images: Tensor, method: Method | None) -> float:
    """How far answers about images differ between each image alone and all of them in a batch.

    Parameters
    ----------
    explainer : Explainer
        In float32.
    images : Tensor
        Normalized, float32 of shape (N, C, H, W).
    method : Method or None
        For the relevance of the predicted classes; for logits, if it is None.

    Returns
    -------
    float
        The largest, relative to the largest value of an image. It is not one of rounding: where
        float32 is not exact enough, it is that of float64.
    """
    found = _batch_difference(explainer, images, method)
    if found <= BATCH_LIMIT:
        return found
    try:
        return _batch_difference(explainer.to_double(), images.double(), method)
    except Exception:  # noqa: BLE001  code that takes float32 only may raise any
        return found


def _batch_difference(explainer: Explainer, images: Tensor, method: Method | None) -> float:
    together = _answers(explainer, images, method)
    alone = torch.cat([_answers(explainer, image, method) for image in images.split(1)])
    return difference(together, alone)


def _answers(explainer: Explainer, images: Tensor, method: Method | None) -> Tensor:
    if method is None:
        return explainer.predict(images)
    starts = [OutputRelevance.predicted(len(images), images.device)]
    return explainer.explain(images, starts, method).relevances[0]


def _precisions(explainer: Explainer, images: Tensor) -> Iterator[tuple[Explainer, Tensor]]:
    yield explainer.to_double(), images.double()
    yield explainer, images


def sample_images(size: Sequence[int], n: int) -> Tensor:
    """Pixels of `n` images that are the same every time: smooth noise, uint8 (N, H, W, 3)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((n, 3, 8, 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=tuple(size), mode="bilinear")
    return (smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
