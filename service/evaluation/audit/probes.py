"""Interventions that test what a cluster has in common: take it away, and put it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from service.evaluation.audit.features import Features
from service.evaluation.audit.predictions import Predictor
from service.evaluation.audit.traces import describe, measure_trace, separation
from service.evaluation.audit.transformations import TRANSFORMATIONS
from service.evidence.imputation import impute
from service.runtime.jobs import Pixels

REGION = "region"  # the kind of finding that is at a fixed place
MAX_AREA = 0.15  # of the image: a larger region is no mark but the object
_EXCESS = 1 / 3  # of the highest: pixels with more belong to the region
_REACH = 1 / 16  # of the shorter side: how far beside its relevance a mark may be
_ALIKE = 1 / 4  # of the distance of other images from the pattern: a mark is the same everywhere

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Finding:
    """What a cluster has in common, and what the network makes of it.

    Attributes
    ----------
    kind : str
        `REGION`, or a key of `TRANSFORMATIONS`.
    presence : float
        How clearly the cluster has it and other classes have not: 0 to 1 (`separation`).
    flips : float
        Share of the images of other classes that are taken for the class once they have it.
    control : float
        That share where they get what is not special to the cluster.
    drop : float
        How much the probability of the class falls in the cluster when it is taken away.
    control_drop : float
        As much, in the rest of the class.
    """

    kind: str
    presence: float
    flips: float
    control: float
    drop: float
    control_drop: float

    @property
    def score(self) -> float:
        """Suspicion, 0 to 1: the presence times the share of flips beyond the control."""
        return self.presence * min(1.0, max(0.0, self.flips - self.control))


@dataclass(frozen=True, eq=False)
class Groups:
    """The images that a cluster is compared with.

    Attributes
    ----------
    label : int
        The class.
    pixels : NDArray[uint8]
        All images, shape (N, H, W, 3).
    inside, rest : NDArray[int64]
        Indices of the images of the class in the cluster, and of others of the class.
    others : NDArray[int64]
        Indices of images of other classes.
    """

    label: int
    pixels: Pixels
    inside: Indices
    rest: Indices
    others: Indices


def common_region(inside: Features, others: Features) -> Mask:
    """Pixels where a cluster's relevance is beyond that of other images; shape (H, W).

    Parameters
    ----------
    inside, others : NDArray[float64]
        Shares of positive relevance, shape (N, H, W).
    """
    excess = inside.mean(0) - others.mean(0)
    largest = round(MAX_AREA * excess.size)
    threshold = max(np.sort(excess, axis=None)[-largest], _EXCESS * excess.max())
    region: Mask = (excess >= threshold) & (excess > 0)
    return region


def alike_region(groups: Groups, region: Mask) -> Mask:
    """Pixels in and around a region in which the images of a cluster are alike; shape (H, W).

    The relevance of a narrow mark may lie beside it: rules that spread it over all that a unit sees
    put most of it where most units see the mark.
    """
    fitted, others = (groups.pixels[these] for these in (groups.inside[::2], groups.others))
    pattern = np.median(fitted, axis=0)
    inside, outside = (
        np.median(np.abs(pixels - pattern).mean(-1), axis=0) for pixels in (fitted, others)
    )
    reach = max(1, round(_REACH * min(region.shape)))
    place = torch.from_numpy(region)[None].float()
    around = functional.max_pool2d(place, 2 * reach + 1, stride=1, padding=reach)[0].bool().numpy()
    alike: Mask = around & (inside < _ALIKE * outside)
    return alike


def probe_region(groups: Groups, region: Mask, predictor: Predictor) -> Finding:
    """Test what a cluster has in a region: the median of every second of its images.

    It is present as far as the other half of the cluster is closer to it than images of other
    classes. The control has the median of the rest of the class in the same place.
    """
    fitted, held_out = groups.pixels[groups.inside[::2]], groups.pixels[groups.inside[1::2]]
    rest, others = groups.pixels[groups.rest], groups.pixels[groups.others]
    pattern = np.median(fitted, axis=0)
    reference = np.median(rest if len(rest) else others, axis=0)
    presence = separation(
        -_distance(held_out, pattern, region), -_distance(others, pattern, region)
    )
    flips, control = (
        _share_taken_for(groups.label, _paste(others, content, region), predictor)
        for content in (pattern, reference)
    )
    drops = [
        _drop(groups.label, pixels, _impute(pixels, region), predictor)
        for pixels in (held_out, rest)
    ]
    return Finding(REGION, presence, flips, control, *drops)


@dataclass(frozen=True, eq=False)
class WholeImageProbes:
    """Transformations of whole images, with what the network makes of transformed ones.

    Attributes
    ----------
    traces : mapping of str to NDArray[float64]
        By the key of `TRANSFORMATIONS`: how much each of all images looks transformed.
    predicted : mapping of str to NDArray[int64]
        The class of each image of the pool once it is transformed; under "" as it is.
    labels : NDArray[int64]
        The class of each image of the pool.
    n_classes : int
        Classes of the network.
    """

    traces: Mapping[str, Features]
    predicted: Mapping[str, Indices]
    labels: Indices
    n_classes: int

    def flips(self, kind: str, label: int) -> tuple[float, float]:
        """Share of images of other classes that turn to `label`, and what chance would make it.

        By chance, images that change their class turn to each of the others alike. Where there is
        one other class only, all of them turn to it: then chance is what turns away from `label`.
        """
        before, after = self.predicted[""], self.predicted[kind]
        is_other = (self.labels != label) & (before != label)
        if not is_other.any():
            return 0.0, 0.0
        found = float((after[is_other] == label).mean())
        if self.n_classes == 2:
            return found, _share(after[before == label] != label)
        return found, _share((after != before)[is_other]) / (self.n_classes - 1)


def prepare_whole_image(
    pixels: Pixels, pool: Indices, labels: Indices, predictor: Predictor
) -> WholeImageProbes:
    """Transform a pool of images of all classes in each way, and predict them."""
    plain, descriptions = pixels[pool], describe(pixels)
    traces: dict[str, Features] = {}
    predicted = {"": predictor.probabilities(plain).argmax(1)}
    for name, transformation in TRANSFORMATIONS.items():
        changed = transformation.apply(plain)
        predicted[name] = predictor.probabilities(changed).argmax(1)
        traces[name] = measure_trace(descriptions[pool], describe(changed), descriptions)
    return WholeImageProbes(traces, predicted, labels[pool], len(predictor.engine.card.labels))


def probe_whole_image(
    groups: Groups, probes: WholeImageProbes, predictor: Predictor
) -> list[Finding]:
    """Test each transformation; what is taken away is measured for the most suspicious only."""
    found = []
    for kind, traces in probes.traces.items():
        presence = separation(traces[groups.inside], traces[groups.others])
        found.append(Finding(kind, presence, *probes.flips(kind, groups.label), 0.0, 0.0))
    best = max(found, key=lambda finding: finding.score)
    revert = TRANSFORMATIONS[best.kind].revert
    drops = [
        _drop(groups.label, pixels, revert(pixels), predictor)
        for pixels in (groups.pixels[groups.inside], groups.pixels[groups.rest])
        if len(pixels)
    ]
    drop, control_drop = (*drops, 0.0)[:2]
    measured = replace(best, drop=drop, control_drop=control_drop)
    return [measured if finding is best else finding for finding in found]


def _share(mask: Mask) -> float:
    return float(mask.mean()) if len(mask) else 0.0


def _distance(pixels: Pixels, pattern: Features, region: Mask) -> Features:
    distance: Features = np.abs(pixels[:, region] - pattern[region]).mean((1, 2))
    return distance


def _paste(pixels: Pixels, content: Features, region: Mask) -> Pixels:
    pasted = pixels.copy()
    pasted[:, region] = content[region].round().astype(np.uint8)
    return pasted


def _impute(pixels: Pixels, region: Mask) -> Pixels:
    if not len(pixels):
        return pixels
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    hidden = torch.from_numpy(region).expand(len(pixels), -1, -1)
    filled = torch.where(hidden[:, None], impute(images, hidden), images)
    return filled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _share_taken_for(label: int, changed: Pixels, predictor: Predictor) -> float:
    if not len(changed):
        return 0.0
    return float((predictor.probabilities(changed).argmax(1) == label).mean())


def _drop(label: int, pixels: Pixels, changed: Pixels, predictor: Predictor) -> float:
    """Mean loss of the probability of a class."""
    if not len(pixels):
        return 0.0
    before, after = (predictor.probabilities(each)[:, label].mean() for each in (pixels, changed))
    return float(before - after)
