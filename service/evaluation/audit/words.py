"""Sentences about clusters and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence

from service.evaluation.audit.audit import THRESHOLD, Audit, Cluster
from service.evaluation.audit.probes import REGION, Finding
from service.evaluation.audit.transformations import TRANSFORMATIONS

DOMAIN_TEXTS = {
    "position": "where the relevance is",
    "shape": "the shape of the relevance, wherever it is",
    "spectrum": "the pattern of the relevance, by direction and frequency",
    "channels": "the channels of the last convolutional layer that the relevance takes",
}


def verdict(audit: Audit, labels: Sequence[str]) -> str:
    """The result of an audit in a sentence."""
    found = audit.suspicious
    tested = f"{len(audit.clusters)} clusters of {len(audit.images):,} images"
    if not found:
        highest = f"; the highest is {audit.clusters[0].score:.2f}" if audit.clusters else ""
        return f"None of {tested} is suspicious: no score is above {THRESHOLD:g}{highest}."
    classes = dict.fromkeys(labels[one.label] for one in found)
    noun = "is" if len(found) == 1 else "are"
    return f"{len(found)} of {tested} {noun} suspicious, of: {', '.join(classes)}."


def name_finding(cluster: Cluster, finding: Finding) -> str:
    """What a cluster may have in common, in a few words."""
    if finding.kind == REGION:
        return f"a mark at a fixed place ({cluster.region.mean():.1%} of the image)"
    return TRANSFORMATIONS[finding.kind].text


def describe_finding(cluster: Cluster, finding: Finding, label: str) -> list[str]:
    """What was done, and what the network made of it: with numbers, in sentences."""
    if finding.kind == REGION:
        put = "With the cluster's median pasted into that place"
        control = f"with that of the rest of the class, {finding.control:.0%}"
        taken = "Hiding that place lowers"
    else:
        put = f"Changed so ({TRANSFORMATIONS[finding.kind].text})"
        control = f"{finding.control:.0%} would be by chance"
        taken = "Taking that change back lowers"
    return [
        f"{put}, {finding.flips:.0%} of the images of other classes are taken for {label}; "
        f"{control}.",
        f"{taken} the probability of {label} by {_points(finding.drop)} in the cluster, and by "
        f"{_points(finding.control_drop)} in the rest of the class.",
        f"It tells the cluster from other classes with {finding.presence:.2f} "
        "(0 not at all, 1 without an error).",
    ]


def _points(change: float) -> str:
    return f"{100 * change:.0f} points"
