"""Chooses how a network is run: as a graph or as its own code, with its channels last or not.

The reference is plain torch: the network's own code on contiguous images.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from service.errors import BundleError
from service.lrp.cpu.memory_format import put_channels_first
from service.lrp.explainer import Explainer
from service.lrp.selftest import BATCH_LIMIT, batch_difference, difference
from service.lrp.twin import Box
from service.methods import Method

logger = logging.getLogger(__name__)

MAX_CANONIZED_DIFFERENCE = 1e-4  # of logits in float32; in float64 it is 1e-15


def make_explainer(name: str, model: nn.Module, box: Box, images: Tensor) -> Explainer:
    """Make the explainer of a network, run in the fastest way that gives plain torch's logits.

    Parameters
    ----------
    name : str
        Of the model, for messages.
    model : nn.Module
        In evaluation mode, with weights as they were loaded.
    box : tuple of 2 Tensor
        As in `Explainer`.
    images : Tensor
        Two different images, normalized, shape (2, C, H, W).

    Raises
    ------
    BundleError
        Its logits are not finite, or random, or depend on the other images of a batch.
    """
    put_channels_first(model)
    expected = _logits(model, images)
    if not expected.isfinite().all():
        raise BundleError(f"the network of the model {name} gives logits that are not finite")
    _check_repeatable(name, difference(_logits(model, images), expected))
    explainer = _choose(name, model, box, images, expected)
    check_batches(name, explainer, images, None)
    return explainer


def _choose(name: str, model: nn.Module, box: Box, images: Tensor, expected: Tensor) -> Explainer:
    for is_channels_last in (True, False):
        explainer = Explainer(model, box, is_channels_last=is_channels_last)
        if explainer.network.graph is None or _computes(explainer, images, expected):
            return explainer
        way = "with its channels last" if is_channels_last else "as a graph"
        logger.warning("%s: it does not compute %s what its code does", name, way)
    return Explainer(model, box, is_traced=False)


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(images.contiguous())
    return logits


def _computes(explainer: Explainer, images: Tensor, expected: Tensor) -> bool:
    try:
        found = explainer.predict(images)
    except Exception as error:
        logger.debug("a way to run a network fails", exc_info=error)
        return False
    return difference(found, expected) <= MAX_CANONIZED_DIFFERENCE


def _check_repeatable(name: str, apart: float) -> None:
    """Refuse a network that answers at random."""
    if apart > BATCH_LIMIT:
        raise BundleError(
            f"the network of the model {name} answers at random: asked twice about the same "
            f"images, its logits differ by {apart:.1e} of the largest. Turn off what is random in "
            "evaluation mode, as by F.dropout(x, training=self.training)"
        )


def check_batches(name: str, explainer: Explainer, images: Tensor, method: Method | None) -> None:
    """Refuse a network whose answers depend on the other images of a batch.

    Parameters
    ----------
    name : str
        Of the model.
    explainer, images, method
        As in `batch_difference`.

    Raises
    ------
    BundleError
        They do.
    """
    apart = batch_difference(explainer, images, method)
    if apart > BATCH_LIMIT:
        what = "logits" if method is None else "relevance"
        raise BundleError(
            f"the answers of the model {name} depend on the other images of a batch: an image's "
            f"{what} alone and in a batch of {len(images)} differ by {apart:.1e} of the largest. "
            "Requests share batches, so it cannot be served. Use the statistics of the training "
            "(batch norms with track_running_stats=True, F.batch_norm with training=False), and "
            "compute nothing over dimension 0"
        )
