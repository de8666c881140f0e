"""Claim 3: what the relevance of each layer looks like, edges or the object, by depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from training.claims.correlations import partial_correlation, rank_correlation
from training.claims.values import Values

Layers = Mapping[str, Tensor]  # from the input up: maps of shape (N, H, W), each of its own size


@dataclass(frozen=True, eq=False)
class References:
    """What the relevance of a layer is compared with.

    Attributes
    ----------
    edges : Tensor
        Strength of the edges of each image, shape (N, H, W).
    masks : Tensor
        The objects, bool of the same shape.
    """

    edges: Tensor
    masks: Tensor

    def correlations(self, maps: Tensor) -> Values:
        """Rank correlations of maps, enlarged to the image, with edges and with the object."""
        size = self.edges.shape[1:]
        enlarged = functional.interpolate(
            maps[:, None], size, mode="bilinear", align_corners=False
        )[:, 0]
        masks = self.masks.float()
        return {
            "edges": rank_correlation(enlarged, self.edges),
            "object": rank_correlation(enlarged, masks),
            "edges | object": partial_correlation(enlarged, self.edges, masks),
            "object | edges": partial_correlation(enlarged, masks, self.edges),
        }

    def reduced(self, size: tuple[int, int]) -> References:
        """The same at a lower resolution; a pixel is of the object if most of it is."""
        masks = pool(self.masks.float(), size)
        return References(pool(self.edges, size), masks)


def depth_values(trained: Layers, untrained: Layers, references: References) -> Values:
    """Correlations of each layer's relevance, of the network and of the one with random weights.

    Returns
    -------
    dict
        `<layer>: <correlation>`, with the suffix ` (untrained)` for the control, and what the rules
        take: the differences between the first and the last layer, `edges lost with depth` and
        `object gained with depth`, alone, beyond the control (`- untrained`), and with all layers
        pooled to the size of the smallest (`, one size`). The object at the last layer is measured
        at that size, too: a coarse map follows coarse edges, which fine ones held fixed leave in.
    """
    values: Values = {}
    found = {"": trained, " (untrained)": untrained}
    for suffix, layers in found.items():
        for name, maps in layers.items():
            correlations = references.correlations(maps)
            values |= {f"{name}: {key}{suffix}": column for key, column in correlations.items()}
    size = min((tuple(maps.shape[1:]) for maps in trained.values()), key=lambda one: one[0])
    smallest = references.reduced((size[0], size[1]))
    trends = _trends(trained, references)
    control = _trends(untrained, references)
    coarse = {name: pool(maps, size) for name, maps in trained.items()}
    first, last = _ends(trained)
    of_last = smallest.correlations(coarse[last])
    return {
        **values,
        "edges at the first layer": values[f"{first}: edges | object"],
        "object at the last layer": of_last["object | edges"],
        **trends,
        **{f"{name} - untrained": column - control[name] for name, column in trends.items()},
        **{f"{name}, one size": column for name, column in _trends(coarse, smallest).items()},
    }


def pool(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Mean of maps, shape (N, H, W), over the cells of a coarser grid."""
    return functional.adaptive_avg_pool2d(maps[:, None], (size[0], size[1]))[:, 0]


def _ends(layers: Layers) -> tuple[str, str]:
    """The first layer and the last one; the image itself is no layer."""
    names = [name for name in layers if name != "input"]
    return names[0], names[-1]


def _trends(layers: Layers, references: References) -> Values:
    first, last = (references.correlations(layers[name]) for name in _ends(layers))
    return {
        "edges lost with depth": first["edges | object"] - last["edges | object"],
        "object gained with depth": last["object | edges"] - first["object | edges"],
    }
