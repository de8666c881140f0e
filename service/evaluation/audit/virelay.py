"""A project of ViRelAy 1.0: images, relevance, and the clusters of each class as analyses."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evaluation.audit.audit import Audit, AuditOptions
from service.evaluation.audit.clustering import MissingLibrary
from service.models.card import ModelCard

PROJECT = "project.yaml"
_LABELS, _INPUT, _ATTRIBUTION = "label_map.json", "input.h5", "attribution.h5"
_EMBEDDING = "spectral"


def write_project(audit: Audit, card: ModelCard, options: AuditOptions, folder: Path) -> Path:
    """Write a project that `virelay project.yaml` opens; returns that file.

    Each domain in which maps were clustered is an analysis, whose categories are the classes.

    Raises
    ------
    MissingLibrary
        h5py or PyYAML is not installed.
    """
    h5py, yaml = _import("h5py"), _import("yaml")
    folder.mkdir(parents=True, exist_ok=True)
    labels = [
        {"index": index, "word_net_id": f"{index:08d}", "name": label}
        for index, label in enumerate(card.labels)
    ]
    (folder / _LABELS).write_text(json.dumps(labels), encoding="utf-8")
    classes = audit.maps.targets.astype(np.uint16)
    _write(h5py, folder / _INPUT, {"data": audit.images.pixels, "label": classes})
    attributions: dict[str, NDArray[Any]] = {
        # an equal part for each colour: ViRelAy adds up channels, and cannot draw a single one
        "attribution": np.repeat(audit.maps.relevance[:, None] / 3, 3, axis=1),
        "prediction": audit.maps.logits,
        "label": classes,
    }
    _write(h5py, folder / _ATTRIBUTION, attributions)
    domains = dict.fromkeys(domain for _, domain in audit.clusterings)
    for domain in domains:
        _write_analysis(h5py, folder / _analysis_file(domain), audit, domain)
    project = _describe(card, options, folder, list(domains))
    text = yaml.safe_dump({"project": project}, sort_keys=False, allow_unicode=True)
    (folder / PROJECT).write_text(text, encoding="utf-8")
    return folder / PROJECT


def _write(h5py: Any, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def _write_analysis(h5py: Any, path: Path, audit: Audit, domain: str) -> None:
    """Groups by class: `index` of the attributions, `cluster/*`, and `embedding/*` with its values.

    The clusters of all classes have the same name, as ViRelAy reads the names of the first class.
    """
    with h5py.File(path, "w") as file:
        for (label, of_domain), clustering in audit.clusterings.items():
            if of_domain != domain:
                continue
            group = file.create_group(f"{label:08d}")
            group["index"] = np.flatnonzero(audit.maps.targets == label)
            group["cluster/eigengap"] = clustering.labels
            embedding = group.create_dataset(f"embedding/{_EMBEDDING}", data=clustering.embedding)
            embedding.attrs["eigenvalue"] = clustering.eigenvalues


def _analysis_file(domain: str) -> str:
    return f"analysis-{domain}.h5"


def _describe(
    card: ModelCard, options: AuditOptions, folder: Path, domains: list[str]
) -> dict[str, Any]:
    height, width = card.input_size
    name = folder.resolve().parent.name
    return {
        "name": name,
        "model": card.name,
        "label_map": _LABELS,
        "dataset": {
            "name": name,
            "type": "hdf5",
            "path": _INPUT,
            "input_width": width,
            "input_height": height,
            "down_sampling_method": "none",
            "up_sampling_method": "none",
        },
        "attributions": {
            "attribution_method": f"{options.method.attributor}, {options.method.composite}",
            "attribution_strategy": "true_label",
            "sources": [_ATTRIBUTION],
        },
        "analyses": [
            {"analysis_method": domain, "sources": [_analysis_file(domain)]} for domain in domains
        ],
    }


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibrary(
            "a project of ViRelAy needs h5py and PyYAML: pip install 'lrpserve[batch]'"
        ) from error
