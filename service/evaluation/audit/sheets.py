"""Contact sheets: images of a cluster, the relevance of each, and what they have in common."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.evaluation.audit.audit import Audit, Cluster
from service.evaluation.audit.features import positive_shares
from service.imaging.render import heatmap_pixels
from service.imaging.render_options import RenderOptions

N_IMAGES = 10
_TILE = 72  # pixels, of the longer side
_GAP = 4
_MARK = (230, 0, 150)

Picture = NDArray[np.uint8]


def draw_sheet(audit: Audit, cluster: Cluster) -> bytes:
    """A PNG: above the median image and images, below the mean relevance and that of each.

    The region that the cluster's relevance has in common is framed in the first column.
    """
    step = max(1, len(cluster.members) // N_IMAGES)
    chosen = cluster.members[::step][:N_IMAGES]
    pixels, relevance = audit.images.pixels[cluster.members], audit.maps.relevance
    typical = np.median(pixels, axis=0).round().astype(np.uint8)
    common = positive_shares(relevance[cluster.members]).mean(0).numpy()
    columns = [(_framed(typical, cluster.region), _framed(_heat(common), cluster.region))]
    columns += [(_enlarge(audit.images.pixels[one]), _heat(relevance[one])) for one in chosen]
    file = io.BytesIO()
    Image.fromarray(_grid(columns)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _grid(columns: list[tuple[Picture, Picture]]) -> Picture:
    height, width = columns[0][0].shape[:2]
    shape = (2 * height + _GAP, len(columns) * (width + _GAP) + _GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for number, (image, heat) in enumerate(columns):
        left = number * (width + _GAP) + (_GAP if number else 0)  # the first stands apart
        sheet[:height, left : left + width] = image
        sheet[height + _GAP :, left : left + width] = heat
    return sheet


def _heat(relevance: NDArray[np.floating]) -> Picture:
    bound = float(np.abs(relevance).max())
    return heatmap_pixels(relevance.astype(np.float32), RenderOptions(bound, _TILE))


def _enlarge(pixels: Picture) -> Picture:
    height, width = RenderOptions(1.0, _TILE).output_size(pixels.shape[:2])[::-1]
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
    return np.array(image)


def _framed(pixels: Picture, region: NDArray[np.bool_]) -> Picture:
    """Outline a region."""
    picture = _enlarge(pixels)
    inside = np.asarray(
        Image.fromarray(region).resize(picture.shape[1::-1], Image.Resampling.NEAREST)
    )
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture[inside & ~core] = _MARK
    return picture
