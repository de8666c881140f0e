"""Bounds on the response that a request asks for, checked before anything is computed.

Small requests may ask for large responses: ten targets with several pictures each, or the relevance
of a layer of millions of values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from service.api.request.accept import JSON, NPY
from service.api.request.options import NEEDS_IMAGE, NEEDS_RELEVANCE_MAP
from service.api.request.resolved import ResolvedExplain, ResolvedRequest
from service.errors import OptionError
from service.imaging.render_options import scaled_size
from service.methods import INPUT
from service.runtime.jobs import LayerInfo

MAX_VALUES = 1 << 22  # of relevance: 22 MB in base64
_LIST_FACTOR = 4  # a number in a list takes four times the bytes of one in base64
_RGB = 3


def check_response_size(
    resolved: ResolvedRequest,
    layers: Sequence[LayerInfo],
    max_picture_pixels: int,
    n_images: int = 1,
) -> None:
    """Refuse a request whose response would be too large.

    Parameters
    ----------
    resolved : ResolvedRequest
        The request.
    layers : sequence of LayerInfo
        The model's layers; empty while it is not loaded.
    max_picture_pixels : int
        Bound on the pixels of all pictures.
    n_images : int
        Number of images of the request.

    Raises
    ------
    OptionError
        Says what to lower.
    """
    if isinstance(resolved, ResolvedExplain):
        _check_pictures(resolved, max_picture_pixels, n_images)
        _check_values(resolved, layers, n_images)


def _check_pictures(resolved: ResolvedExplain, max_pixels: int, n_images: int) -> None:
    n_pictures = n_images * _n_pictures(resolved)
    width, height = scaled_size(resolved.card.input_size, resolved.options.size)
    n_pixels = n_pictures * width * height
    if n_pixels <= max_pixels:
        return
    size = math.isqrt(resolved.options.size**2 * max_pixels // n_pixels)
    pictures = "1 picture" if n_pictures == 1 else f"{n_pictures} pictures"
    raise OptionError.of(
        "size",
        f"{pictures} of {width} x {height} would have {n_pixels:,} pixels, more than "
        f"{max_pixels:,}; give a size of at most {size}, fewer {_many(n_images)}targets, or fewer "
        "names in output",
    )


def _n_pictures(resolved: ResolvedExplain) -> int:
    if resolved.media_type == NPY:
        return 0
    output = set(resolved.options.output)
    n_maps = sum(info.has_space for info in resolved.layers) if resolved.layers else 1
    of_each_target = len(output & NEEDS_RELEVANCE_MAP) * len(resolved.targets) * n_maps
    return of_each_target + len(output & (NEEDS_IMAGE - NEEDS_RELEVANCE_MAP))


def _many(n_images: int) -> str:
    return "images, fewer " if n_images > 1 else ""


def _check_values(resolved: ResolvedExplain, layers: Sequence[LayerInfo], n_images: int) -> None:
    options = resolved.options
    if resolved.media_type == JSON and "relevance" not in options.output:
        return
    shapes = _shapes(resolved, layers)
    n_values = n_images * len(resolved.targets) * sum(map(math.prod, shapes))
    is_list = resolved.media_type == JSON and options.relevance_format == "list"
    allowed = MAX_VALUES // _LIST_FACTOR if is_list else MAX_VALUES
    if n_values <= allowed:
        return
    layer = "fewer layers" if resolved.layers else "another layer"
    hints = [f"fewer {_many(n_images)}targets", layer]
    hints += ["channels=sum"] if options.channels == "all" and max(map(len, shapes)) > 1 else []
    hints += ["relevance_format=base64"] if is_list else []
    raise OptionError.of(
        "output",
        f"the relevance has {n_values:,} values, more than {allowed:,}; give {' or '.join(hints)}",
    )


def _shapes(resolved: ResolvedExplain, layers: Sequence[LayerInfo]) -> list[tuple[int, ...]]:
    """Shapes of all relevance of a target, as far as they are known."""
    if not resolved.layers:
        return [relevance_shape(resolved, layers)]
    sums = resolved.options.channels == "sum"
    return [info.shape[1:] if sums and info.has_space else info.shape for info in resolved.layers]


def relevance_shape(resolved: ResolvedExplain, layers: Sequence[LayerInfo]) -> tuple[int, ...]:
    """Shape of the relevance of a target, as far as it is known."""
    options = resolved.options
    shape: tuple[int, ...] = (_RGB, *resolved.card.input_size)
    if options.layer != INPUT:
        shape = next((info.shape for info in layers if info.name == options.layer), ())
    return shape[1:] if options.channels == "sum" and resolved.has_picture else shape
