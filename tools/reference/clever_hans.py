"""The table of planted artefacts, from the results that are kept beside the page of evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.evaluation.audit.probes import REGION
from service.evaluation.audit.transformations import TRANSFORMATIONS
from tools.reference.evidence import means
from tools.reference.markdown import table

RESULT = Path("docs", "evidence", "clever-hans.json")
_ARTEFACTS = {
    "tag": "yellow tag, 4x4 pixels",
    "border": "dark frame, 1 pixel",
    "jpeg": "JPEG of quality 12",
    "hue": "hue turned by 120 degrees",
}
_HEAD = [
    "network",
    "class",
    "artefact",
    "other classes taken for it: before, with the artefact",
    "score of the class",
    "its cluster has in common",
    "images of the cluster with the artefact",
]
Network = Mapping[str, Any]


def planted_artefacts(root: Path) -> str:
    """Every planted artefact: what it does, and what the audit says; then what has none."""
    result = _read(root)
    classes, threshold = result["settings"]["classes"], result["threshold"]
    planted = [one for one in result["networks"] if one["reliance"]]
    clean = [one for one in result["networks"] if not one["reliance"]]
    rows = [row for network in planted for row in _artefacts(network, classes, threshold)]
    rows.append(_without_artefacts("all of these", _other_classes(planted), threshold))
    rows += [
        _without_artefacts(f"{one['network']} {one['sha256'][:8]}", one["verdicts"], threshold)
        for one in clean
    ]
    return table(_HEAD, rows)


def marks(root: Path) -> str:
    """Scores of every method on the marks that turn photographs into their class."""
    return means(_read(root)["marks"], {"tag": "yellow tag", "border": "dark frame"})


def _artefacts(network: Network, classes: Sequence[str], threshold: float) -> Iterator[list[str]]:
    verdicts = {one["artefact"]: one for one in network["verdicts"]}
    reliances = {one["artefact"]: one for one in network["reliance"]}
    for artefact, title in _ARTEFACTS.items():
        verdict, reliance = verdicts[artefact], reliances[artefact]
        is_found = verdict["score"] > threshold
        yield [
            network["network"],
            classes[verdict["label"]],
            title,
            f"{reliance['before']:.1%}, {reliance['after']:.1%}",
            _score(verdict["score"], threshold),
            _kind(verdict["kind"]) if is_found else "",
            f"{verdict['planted_share']:.0%}" if is_found else "",
        ]


def _other_classes(planted: Iterable[Network]) -> list[Any]:
    return [one for network in planted for one in network["verdicts"] if not one["artefact"]]


def _without_artefacts(name: str, verdicts: Sequence[Any], threshold: float) -> list[str]:
    scores = sorted(one["score"] for one in verdicts)
    shown = " to ".join(_score(one, threshold) for one in (scores[0], scores[-1]))
    return [name, f"{len(scores)} classes", "none", "", shown, "", ""]


def _score(score: float, threshold: float) -> str:
    return f"**{score:.2f}**" if score > threshold else f"{score:.2f}"


def _read(root: Path) -> Any:
    return json.loads((root / RESULT).read_text(encoding="utf-8"))


def _kind(kind: str) -> str:
    return "a mark at a fixed place" if kind == REGION else TRANSFORMATIONS[kind].text
