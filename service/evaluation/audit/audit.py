"""The audit: explain the images of each class, cluster them, and test what clusters share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.evaluation.audit.clustering import Clustering, cluster
from service.evaluation.audit.features import DOMAINS, positive_shares
from service.evaluation.audit.predictions import Predictor
from service.evaluation.audit.probes import (
    Finding,
    Groups,
    Mask,
    WholeImageProbes,
    alike_region,
    common_region,
    prepare_whole_image,
    probe_region,
    probe_whole_image,
)
from service.evaluation.explained import Maps, explain_maps
from service.evaluation.images import ImagesError, ImageSet
from service.methods import DEFAULT_ATTRIBUTOR, INPUT, Method
from service.runtime.engine import Engine

Indices = NDArray[np.int64]
StepFn = Callable[[str, float], object]  # what is done, and the share of it that is
MIN_IMAGES = 20  # of a class; fewer are not clustered
THRESHOLD = 0.12  # a cluster with a higher score is suspicious
_SAME = 0.6  # clusters that share more of their images (Jaccard index) are one
_N_REST = 100  # images of the class that a cluster is compared with, at most


@dataclass(frozen=True)
class AuditOptions:
    """Settings of an audit.

    Attributes
    ----------
    n_others : int
        Images of all classes that interventions are tried on.
    min_share : float
        Clusters with a smaller part of their class are left out.
    seed : int
        Of k-means and of the choice of images.
    method : Method
        How images are explained.
    """

    n_others: int = 100
    min_share: float = 0.05
    seed: int = 0
    method: Method = field(default_factory=Method)


@dataclass(frozen=True, eq=False)
class Cluster:
    """A group of images of a class that the network explains alike.

    Attributes
    ----------
    label : int
        Index of the class.
    domain : str
        A key of `DOMAINS`: in which the group was found.
    members : NDArray[int64]
        Indices of its images.
    gap : float
        The eigengap of the clustering.
    region : NDArray[bool]
        Where relevance is beyond that of other images, shape (H, W).
    findings : tuple of Finding
        The most suspicious first.
    """

    label: int
    domain: str
    members: Indices
    gap: float
    region: Mask
    findings: tuple[Finding, ...]

    @property
    def score(self) -> float:
        """The score of the most suspicious finding."""
        return self.findings[0].score

    @property
    def is_suspicious(self) -> bool:
        """Whether the score is above `THRESHOLD`."""
        return self.score > THRESHOLD


@dataclass(frozen=True, eq=False)
class Audit:
    """The result of an audit.

    Attributes
    ----------
    images : ImageSet
        The images; `labels` are the classes that were explained.
    maps : Maps
        Their relevance.
    clusters : tuple of Cluster
        The most suspicious first.
    clusterings : mapping of (int, str) to Clustering
        By class and domain.
    """

    images: ImageSet
    maps: Maps
    clusters: tuple[Cluster, ...]
    clusterings: Mapping[tuple[int, str], Clustering]

    @property
    def suspicious(self) -> tuple[Cluster, ...]:
        """The clusters whose score is above `THRESHOLD`."""
        return tuple(one for one in self.clusters if one.is_suspicious)


def audit_images(
    engine: Engine,
    images: ImageSet,
    options: AuditOptions | None = None,
    on_step: StepFn = lambda _name, _share: None,
) -> Audit:
    """Audit a network on images.

    Parameters
    ----------
    engine : Engine
        The network; used by this thread only.
    images : ImageSet
        Images whose labels are the classes to explain; an image without one is taken for the class
        that is predicted.
    options : AuditOptions, optional
        Settings.
    on_step : callable
        Called with the name of what is done, and the share of it that is.

    Raises
    ------
    ImagesError
        There are fewer than two classes, or none has enough images.
    """
    options = options or AuditOptions()
    maps = _explain(engine, images, options, on_step)
    images = ImageSet(images.pixels, maps.targets, images.paths, images.failed)
    classes, counts = np.unique(maps.targets, return_counts=True)
    if len(classes) < 2:
        raise ImagesError("all images are of one class; give images of other classes too")
    chosen = classes[counts >= MIN_IMAGES]
    if not len(chosen):
        raise ImagesError(
            f"no class has {MIN_IMAGES} images or more: the largest has {counts.max()}; "
            "give more images of each class"
        )
    pool = _choose_pool(maps.targets, options)
    predictor = Predictor(engine)
    whole = prepare_whole_image(images.pixels, pool, maps.targets, predictor)
    auditor = _Auditor(images, maps, pool, predictor, whole, options)
    clusters: list[Cluster] = []
    for number, label in enumerate(chosen):
        on_step("clusters", number / len(chosen))
        clusters += auditor.audit_class(int(label))
    on_step("clusters", 1.0)
    ranked = sorted(clusters, key=lambda one: one.score, reverse=True)
    return Audit(images, maps, tuple(ranked), auditor.clusterings)


class _Auditor:
    """Audits one class after another.

    Parameters
    ----------
    images : ImageSet
        All images, with the classes that were explained.
    maps : Maps
        Their relevance.
    pool : NDArray[int64]
        Indices of the images that interventions are tried on.
    predictor : Predictor
        The network.
    whole : WholeImageProbes
        The transformations of the pool.
    options : AuditOptions
        Settings.
    """

    def __init__(
        self,
        images: ImageSet,
        maps: Maps,
        pool: Indices,
        predictor: Predictor,
        whole: WholeImageProbes,
        options: AuditOptions,
    ) -> None:
        self._images, self._maps, self._pool = images, maps, pool
        self._predictor, self._whole, self._options = predictor, whole, options
        self._shares = positive_shares(maps.relevance).numpy()
        self._random = np.random.default_rng(options.seed)
        self.clusterings: dict[tuple[int, str], Clustering] = {}

    def audit_class(self, label: int) -> list[Cluster]:
        """Cluster the images of a class in each domain, and probe each cluster once."""
        of_class = np.flatnonzero(self._maps.targets == label)
        maps = self._maps.subset(of_class)
        found: list[Cluster] = []
        for domain, members, gap in self._groups(label, maps):
            if all(_overlap(of_class[members], one.members) <= _SAME for one in found):
                found.append(self._probe(label, domain, of_class, of_class[members], gap))
        return found

    def _groups(self, label: int, maps: Maps) -> Iterator[tuple[str, Indices, float]]:
        smallest = max(MIN_IMAGES // 2, round(self._options.min_share * len(maps)))
        for domain, make_features in DOMAINS.items():
            if domain == "channels" and not maps.layers:
                continue
            clustering = cluster(make_features(maps), self._options.seed)
            self.clusterings[label, domain] = clustering
            for number in range(clustering.n_clusters):
                members = np.flatnonzero(clustering.labels == number)
                if len(members) >= smallest:
                    yield domain, members, clustering.gap

    def _probe(
        self, label: int, domain: str, of_class: Indices, members: Indices, gap: float
    ) -> Cluster:
        rest = np.setdiff1d(of_class, members)
        rest = self._random.permutation(rest)[:_N_REST]
        others = self._pool[self._maps.targets[self._pool] != label]
        groups = Groups(label, self._images.pixels, members, rest, others)
        compared = np.concatenate([rest, others])
        common = common_region(self._shares[members], self._shares[compared])
        region, of_region = self._probe_regions(groups, (common, alike_region(groups, common)))
        findings = [
            of_region,
            *probe_whole_image(groups, self._whole, self._predictor),
        ]
        findings.sort(key=lambda finding: finding.score, reverse=True)
        return Cluster(label, domain, members, gap, region, tuple(findings))

    def _probe_regions(self, groups: Groups, regions: Sequence[Mask]) -> tuple[Mask, Finding]:
        """The more suspicious of several regions; one without pixels is none."""
        found = [
            (region, probe_region(groups, region, self._predictor))
            for region in regions
            if region.any() or region is regions[0]
        ]
        return max(found, key=lambda one: one[1].score)


def _overlap(one: Indices, other: Indices) -> float:
    shared = len(np.intersect1d(one, other))
    return shared / (len(one) + len(other) - shared)


def _choose_pool(labels: Indices, options: AuditOptions) -> Indices:
    """Images of all classes, of each as many as there are."""
    random = np.random.default_rng(options.seed)
    classes = np.unique(labels)
    n_each = max(1, options.n_others // len(classes))
    chosen = [random.permutation(np.flatnonzero(labels == one))[:n_each] for one in classes]
    return np.sort(np.concatenate(chosen))


def _explain(engine: Engine, images: ImageSet, options: AuditOptions, on_step: StepFn) -> Maps:
    """Explain the class of each image; relevance of the last layer with space is kept too."""
    layer = next((one.name for one in engine.layers if one.has_space and one.name != INPUT), None)
    is_one_pass = options.method.attributor == DEFAULT_ATTRIBUTOR
    layers = (layer,) if layer is not None and is_one_pass else ()
    method = replace(options.method, layers=layers, sums_channels=False)
    targets = images.labels
    if (targets < 0).any():
        predicted = Predictor(engine).probabilities(images.pixels).argmax(1)
        targets = np.where(targets < 0, predicted, targets)
    n_done = 0

    def progress(n: int) -> None:
        nonlocal n_done
        n_done += n
        on_step("relevance", n_done / len(images))

    return explain_maps(engine, images.pixels, method, targets, progress=progress)
