"""The result of an audit as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from service.evaluation.audit.audit import MIN_IMAGES, THRESHOLD, Audit, AuditOptions, Cluster
from service.evaluation.audit.words import name_finding, verdict
from service.models.card import ModelCard

_N_FINDINGS = 3  # of a cluster


def to_record(audit: Audit, card: ModelCard, options: AuditOptions) -> Mapping[str, Any]:
    """Model, settings, verdict and clusters, the most suspicious first."""
    return {
        "model": card.name,
        "model_sha256": card.sha256,
        "verdict": verdict(audit, card.labels),
        "threshold": THRESHOLD,
        "n_images": len(audit.images),
        "n_failed": len(audit.images.failed),
        "settings": {
            "method": options.method.describe(),
            "n_others": options.n_others,
            "min_share": options.min_share,
            "min_images": MIN_IMAGES,
            "seed": options.seed,
        },
        "clusters": [_cluster(one, audit, card) for one in audit.clusters],
    }


def _cluster(cluster: Cluster, audit: Audit, card: ModelCard) -> Mapping[str, Any]:
    findings = [
        {"text": name_finding(cluster, each), **asdict(each), "score": each.score}
        for each in cluster.findings[:_N_FINDINGS]
    ]
    return {
        "class": card.labels[cluster.label],
        "domain": cluster.domain,
        "n_images": len(cluster.members),
        "score": cluster.score,
        "is_suspicious": cluster.is_suspicious,
        "eigengap": cluster.gap,
        "region_share": float(cluster.region.mean()),
        "findings": findings,
        "images": [str(audit.images.paths[index]) for index in cluster.members],
    }
