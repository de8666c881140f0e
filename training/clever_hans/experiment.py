"""The Clever Hans experiment: whether the audit finds the artefacts that a network relies on.

The control comes first: an artefact that does not change predictions is none that could be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.evaluation.audit.audit import Audit, AuditOptions, Cluster, audit_images
from service.evaluation.audit.predictions import Predictor
from service.evaluation.images import ImageSet
from service.runtime.engine import Engine
from training.clever_hans.artefacts import ARTEFACTS
from training.clever_hans.planting import Plant, plant, to_pixels
from training.data import Split

RELIES = 0.15  # of the images of other classes change to the class: the network relies on it
_N_CONTROL = 200


@dataclass(frozen=True)
class Reliance:
    """What an artefact does to images of other classes than the one that it was planted in.

    Attributes
    ----------
    artefact, label
        As in `Plant`.
    before, after : float
        Share that is taken for the class without the artefact, and with it.
    n : int
        Number of images.
    """

    artefact: str
    label: int
    before: float
    after: float
    n: int

    @property
    def relies(self) -> bool:
        """Whether the network relies on it."""
        return self.after - self.before > RELIES


@dataclass(frozen=True)
class Verdict:
    """What the audit says of one class of one network.

    Attributes
    ----------
    network : str
        Its name.
    label : int
        The class.
    artefact : str
        What was planted in it; empty for nothing.
    relies : bool
        Whether the control shows that the network relies on it.
    score : float
        The highest score of its clusters.
    kind : str
        What that cluster is said to have in common.
    planted_share : float
        Part of the images of that cluster that have the artefact.
    """

    network: str
    label: int
    artefact: str
    relies: bool
    score: float
    kind: str
    planted_share: float


def measure_reliance(engine: Engine, split: Split, artefact: str, label: int) -> Reliance:
    """Add an artefact to images of other classes, and count what they are taken for."""
    others = split.images[split.labels != label]
    step = max(1, len(others) // _N_CONTROL)
    images = others[::step][:_N_CONTROL]
    predictor = Predictor(engine)
    before, after = (
        float((predictor.probabilities(to_pixels(each)).argmax(1) == label).mean())
        for each in (images, ARTEFACTS[artefact](images))
    )
    return Reliance(artefact, label, before, after, len(images))


def audit_planted(
    engine: Engine, split: Split, plants: Sequence[Plant], options: AuditOptions
) -> tuple[Audit, NDArray[np.bool_]]:
    """Audit a network on images with artefacts; also returns which images have one."""
    changed, planted = plant(split, plants, options.seed)
    paths = tuple(Path(f"{index:05d}.png") for index in range(len(split)))
    images = ImageSet(to_pixels(changed.images), changed.labels.numpy(), paths)
    return audit_images(engine, images, options), planted.numpy()


def judge(
    network: str, audit: Audit, planted: NDArray[np.bool_], reliances: Sequence[Reliance]
) -> list[Verdict]:
    """A verdict for each class that has clusters."""
    by_label = {one.label: one for one in reliances}
    verdicts = []
    for label in sorted({one.label for one in audit.clusters}):
        best = max((c for c in audit.clusters if c.label == label), key=_score)
        reliance = by_label.get(label)
        verdicts.append(
            Verdict(
                network,
                label,
                reliance.artefact if reliance else "",
                reliance.relies if reliance else False,
                best.score,
                best.findings[0].kind,
                float(planted[best.members].mean()),
            )
        )
    return verdicts


def first_of_each_class(split: Split, n: int) -> Split:
    """The first images of each class, in their order."""
    chosen = [(split.labels == label).nonzero()[:n, 0] for label in split.labels.unique()]
    return split.subset(torch.cat(chosen).sort().values)


def as_json(verdicts: Sequence[Verdict], reliances: Sequence[Reliance]) -> dict[str, Any]:
    """Verdicts and controls of a network."""
    return {
        "verdicts": [asdict(one) for one in verdicts],
        "reliance": [{**asdict(one), "relies": one.relies} for one in reliances],
    }


def _score(cluster: Cluster) -> float:
    return cluster.score
