"""All measures of a network; the values of each image are kept in a file for each network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from service.evaluation.explained import Maps
from service.evidence.baselines import BASELINES
from service.evidence.intervals import Interval
from service.methods import INPUT
from service.models.bundles import Bundle
from training.claims.backgrounds import background_values, by_class
from training.claims.depth import References, depth_values
from training.claims.focus import Parts, share_inside
from training.claims.sample import Sample
from training.claims.subject import Subject, untrained
from training.claims.values import Values, summarize

BY_CLASS = ("mass", "area", "background alone", "whole image", "follows the background")
Report = Callable[[str], object]
_NUMBERS = "numbers of the images"


@dataclass(frozen=True)
class Measured:
    """What was measured on a network.

    Attributes
    ----------
    model : str
        Its name.
    sha256 : str
        Of its weights.
    layers : tuple of str
        The layers of claim 3, from the input up.
    intervals : mapping of str to Interval
        Of each measure, over all images.
    good : mapping of str to Interval
        The same over the images whose masks were marked as good by eye; empty without marks.
    by_class : mapping of str to mapping of str to float
        Means of some measures for each class.
    """

    model: str
    sha256: str
    layers: tuple[str, ...]
    intervals: Mapping[str, Interval]
    good: Mapping[str, Interval]
    by_class: Mapping[str, Mapping[str, float]]


def measure(bundle: Bundle, sample: Sample, report: Report = str) -> Values:
    """Measure everything that the rules take, of each image.

    Parameters
    ----------
    bundle : Bundle
        The network.
    sample : Sample
        Images with the masks of their objects.
    report : callable
        Told what is measured next.
    """
    subject, control = Subject.of(bundle), Subject.of(untrained(bundle))
    layers = subject.spatial_layers()
    report(f"{bundle.card.name}: relevance of each layer")
    found = subject.explain(sample.pixels, layers=layers)
    targets = torch.from_numpy(found.targets)
    found_untrained = control.explain(sample.pixels, targets, layers)
    report(f"{bundle.card.name}: parts of the object")
    values = _focus_values(subject, sample, found, found_untrained)
    report(f"{bundle.card.name}: backgrounds")
    values |= background_values(subject, sample)
    report(f"{bundle.card.name}: edges and objects by depth")
    return values | _depth_values(subject, sample, found, found_untrained)


def _focus_values(subject: Subject, sample: Sample, found: Maps, control: Maps) -> Values:
    images, relevance = subject.normalize(sample.pixels), torch.from_numpy(found.relevance)
    parts = Parts(subject.logits, images, torch.from_numpy(found.targets), sample.masks)
    inside = share_inside(relevance, sample.masks, images, torch.from_numpy(control.relevance))
    return inside | parts.values(relevance)


def _depth_values(subject: Subject, sample: Sample, found: Maps, control: Maps) -> Values:
    edges = BASELINES["edges"](subject.normalize(sample.pixels))
    return depth_values(by_layer(found), by_layer(control), References(edges, sample.masks))


def by_layer(maps: Maps) -> dict[str, Tensor]:
    """Maps of the input and of each layer, from the input up."""
    layers = {name: torch.from_numpy(values) for name, values in maps.layers.items()}
    return {INPUT: torch.from_numpy(maps.relevance), **layers}


def measure_kept(
    bundles: Sequence[Bundle],
    sample: Sample,
    good: Tensor | None,
    folder: Path,
    report: Report,
) -> list[Measured]:
    """Measure networks; what a file in the folder has of the same images is not measured again.

    Parameters
    ----------
    bundles : sequence of Bundle
        The networks.
    sample : Sample
        Images with the masks of their objects.
    good : Tensor, optional
        Which masks are good by eye, bool of shape (N,).
    folder : Path
        Gets a file of the values of each image for each network; created if missing.
    report : callable
        Told what is measured next.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for bundle in bundles:
        path = folder / f"{bundle.card.name}-{bundle.card.sha256[:12]}.npz"
        values = _read(path, sample)
        if not values:
            values = measure(bundle, sample, report)
            _write(path, sample, values)
        results.append(_summarize(bundle, sample, values, good))
    return results


def _summarize(bundle: Bundle, sample: Sample, values: Values, good: Tensor | None) -> Measured:
    card = bundle.card
    return Measured(
        card.name,
        card.sha256,
        (INPUT, *Subject.of(bundle).spatial_layers()),
        summarize(values),
        {} if good is None else summarize(values, good),
        {name: by_class(values[name], sample, card.labels) for name in BY_CLASS},
    )


def _read(path: Path, sample: Sample) -> Values:
    if not path.is_file():
        return {}
    with np.load(path) as stored:
        columns = {name: torch.from_numpy(stored[name]) for name in stored.files}
    is_same = torch.equal(columns.pop(_NUMBERS), sample.numbers)
    return columns if is_same else {}


def _write(path: Path, sample: Sample, values: Values) -> None:
    columns: dict[str, Any] = {name: column.numpy() for name, column in values.items()}
    np.savez_compressed(path, **(columns | {_NUMBERS: sample.numbers.numpy()}))
