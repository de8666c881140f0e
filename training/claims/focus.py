"""Claim 1: relevance lies on the object, and on the parts of it that decide."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from service.evidence.baselines import BASELINES
from service.evidence.curves import PredictFn, probability
from service.evidence.fills import FILLS
from service.evidence.localization import relevance_mass, relevance_rank
from service.evidence.orders import most_relevant_first
from service.evidence.patches import PatchGrid
from training.claims.values import Values, without

PATCH_SIDE = 4
HIDDEN_SHARE = 0.25  # of the object's patches
MIN_PATCHES = 8  # an object of fewer has no quarter worth hiding
N_RANDOM = 4  # random orders, whose mean is the control
_FILLS = ("blur", "linear")


def share_inside(relevance: Tensor, masks: Tensor, images: Tensor, untrained: Tensor) -> Values:
    """Relevance on the object: share of the positive relevance, and of the most relevant pixels.

    Parameters
    ----------
    relevance : Tensor
        Maps of the network, shape (N, H, W).
    masks : Tensor
        The objects, bool of the same shape.
    images : Tensor
        Normalized, shape (N, 3, H, W), for the maps that know nothing of the network.
    untrained : Tensor
        Maps of the same network with random weights.

    Returns
    -------
    dict
        `mass` and `rank`, the same of each control, and the differences image by image. The control
        `another image` is the network's own map of the next image: as concentrated and as centred
        as the map itself, but of something else. `half` is the share of the pixels that carry half
        of the relevance.
    """
    maps = {
        "": relevance,
        **{name: baseline(images) for name, baseline in BASELINES.items()},
        "another image": relevance.roll(1, 0),
        "untrained": untrained,
    }
    values: Values = {"area": masks.double().mean((1, 2))}
    for measure, score in (("mass", relevance_mass), ("rank", relevance_rank)):
        own = score(relevance, masks).double()
        values[f"{measure} - area"] = own - values["area"]
        for name, found in maps.items():
            other = own if not name else score(found, masks).double()
            values[f"{measure} of {name}" if name else measure] = other
            if name:
                values[f"{measure} - {name}"] = own - other
    return values | _half_inside(relevance, maps["gaussian"], masks)


def _half_inside(relevance: Tensor, gaussian: Tensor, masks: Tensor) -> Values:
    """The pixels that carry half of the relevance, and as many in the middle of the image.

    Neither can win by being more concentrated than the other.
    """
    counts = pixels_of_half(relevance)
    own, middle = (_top_inside(maps, counts, masks) for maps in (relevance, gaussian))
    return {"half": own, "half of gaussian": middle, "half - gaussian": own - middle}


def pixels_of_half(relevance: Tensor) -> Tensor:
    """The least number of pixels that carry half of the positive relevance, shape (N,)."""
    falling = relevance.flatten(1).double().clamp(min=0).sort(dim=1, descending=True).values
    carried = falling.cumsum(1)
    return (carried < carried[:, -1:] / 2).sum(1) + 1


def _top_inside(maps: Tensor, counts: Tensor, masks: Tensor) -> Tensor:
    """Share of the highest pixels of each map, so many of them, that is inside."""
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    inside = masks.flatten(1).gather(1, order).double().cumsum(1)
    return inside.gather(1, counts[:, None] - 1)[:, 0] / counts


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of objects: which patches there are, and what hiding some of them does.

    Attributes
    ----------
    predict : callable
        Gives the logits of normalized images.
    images : Tensor
        Normalized, shape (N, 3, H, W).
    targets : Tensor
        The classes whose probability is watched, shape (N,).
    masks : Tensor
        The objects, bool of shape (N, H, W). A patch is of the object if most of it is.
    """

    predict: PredictFn
    images: Tensor
    targets: Tensor
    masks: Tensor

    def values(self, relevance: Tensor) -> Values:
        """What hiding a quarter of the object's patches does to the probability of the target.

        Returns
        -------
        dict
            `hidden: <order>` is the probability that is left, `reddest - <order>` how much more is
            lost to the reddest quarter than to a quarter in another order; with the suffix
            ` (linear)` for that fill. NaN for objects of few patches.
        """
        orders = {
            "reddest": relevance,
            "palest": -relevance,
            "edges": BASELINES["edges"](self.images),
        }
        values: Values = {"probability": without(self._probability(self.images), self._is_small)}
        for fill in _FILLS:
            suffix = "" if fill == _FILLS[0] else f" ({fill})"
            left = {name: self._left(map_, fill) for name, map_ in orders.items()}
            left["random"] = self._left_at_random(fill)
            for name, column in left.items():
                values[f"hidden: {name}{suffix}"] = column
                if name != "reddest":
                    values[f"reddest - {name}{suffix}"] = column - left["reddest"]
        return values

    @property
    def _grid(self) -> PatchGrid:
        height, width = self.images.shape[2:]
        return PatchGrid(height, width, PATCH_SIDE)

    @property
    def _is_inside(self) -> Tensor:
        """Whether each patch is of the object, bool of shape (N, P)."""
        return self._grid.means(self.masks.float()) >= 0.5

    @property
    def _is_small(self) -> Tensor:
        return self._is_inside.sum(1) < MIN_PATCHES

    def _left(self, maps: Tensor, fill: str) -> Tensor:
        """The probability that is left without the first quarter in the order of a map."""
        order = most_relevant_first(self._grid, maps)
        return without(self._probability(self.hide(order, fill)), self._is_small)

    def _left_at_random(self, fill: str) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        maps = [torch.rand(self.masks.shape, generator=generator) for _ in range(N_RANDOM)]
        return torch.stack([self._left(one, fill) for one in maps]).mean(0)

    def hide(self, order: Tensor, fill: str = _FILLS[0]) -> Tensor:
        """Hide the first quarter of the object's patches in an order of all, shape (N, P)."""
        inside = self._is_inside.gather(1, order)
        place = (inside.cumsum(1) - 1).masked_fill(~inside, len(order[0]))
        counts = (self._is_inside.sum(1, keepdim=True) * HIDDEN_SHARE).round()
        is_hidden = torch.zeros_like(inside).scatter_(1, order, place < counts)
        hidden = is_hidden[:, self._grid.index]
        return FILLS[fill](self.images, hidden, torch.Generator().manual_seed(0))

    def _probability(self, images: Tensor) -> Tensor:
        return probability(self.predict(images), self.targets)
