"""The experiment from data to a JSON file: train, control, audit, count. Can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import ServiceError
from service.evaluation.audit.audit import THRESHOLD, AuditOptions
from service.evaluation.images import ImageSet
from service.models.bundles import Bundle, read_bundle
from service.runtime.device import open_device
from service.runtime.engine import Engine
from training.clever_hans.calibration import Rate, calibrate, separating_thresholds
from training.clever_hans.claim import judge_claim
from training.clever_hans.experiment import (
    Verdict,
    as_json,
    audit_planted,
    first_of_each_class,
    judge,
    measure_reliance,
)
from training.clever_hans.marks import MARKS, score_marks
from training.clever_hans.networks import train_planted
from training.clever_hans.planting import Plant, assign_plants
from training.config import Recipe
from training.data import DataSet
from training.ground_truth.summary import summarize_question
from training.hardware import describe_hardware, library_versions

RESULT, CLAIM = "clever-hans.json", "claim-4.json"
MARKS_KEY = "marks"
_RECORD, _PLAN = "audit.json", "plan.json"


class RunError(ServiceError):
    """A folder has the results of another plan."""

    type = "run-error"
    title = "The results cannot be continued"


@dataclass(frozen=True)
class Plan:
    """What is trained and audited.

    Attributes
    ----------
    recipe : Recipe
        Of the planted networks.
    n_seeds : int
        Planted networks, each with all artefacts, in classes that differ.
    share : float
        Part of a class's images that get its artefact.
    n_per_class : int
        Test images that are audited.
    begin : Bundle or None
        A network whose weights training begins with.
    """

    recipe: Recipe
    n_seeds: int
    share: float
    n_per_class: int
    begin: Bundle | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What all results depend on; there may be more seeds later on."""
        return {
            "recipe": asdict(self.recipe),
            "share": self.share,
            "n_per_class": self.n_per_class,
            "begins_with": self.begin.card.sha256 if self.begin else None,
        }


def calibrate_audit(data: DataSet, plan: Plan, clean: Sequence[Path], out: Path) -> dict[str, Any]:
    """Audit planted networks and clean bundles; returns what `clever-hans.json` has.

    `claim-4.json` is the verdict on the claim, for `python -m training claims`.

    Parameters
    ----------
    data : DataSet
        Images without artefacts.
    plan : Plan
        What to do.
    clean : sequence of Path
        Bundles that were trained without artefacts.
    out : Path
        Folder of the results; what is in it already is not computed again.

    Raises
    ------
    RunError
        The folder has the results of another plan.
    """
    _open(out, plan)
    records = []
    for seed in range(plan.n_seeds):
        plants = assign_plants(seed, len(data.class_names), plan.share)
        folder = out / f"planted-{seed}"
        bundle = train_planted(data, plants, plan.recipe, seed, folder / "run", plan.begin)
        records.append(_audit_once(bundle, plants, data, plan, seed, folder))
    for number, bundle in enumerate(clean):
        records.append(_audit_once(bundle, (), data, plan, 0, out / f"clean-{number}"))
    result = _summarize(records, data, plan)
    for name, content in ((RESULT, result), (CLAIM, judge_claim(result))):
        (out / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return result


def _open(out: Path, plan: Plan) -> None:
    """Begin a run, or go on with it."""
    path = out / _PLAN
    text = json.dumps(plan.identity, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise RunError(
            f"{out} has the results of another recipe, share, number of images or bundle to begin "
            "with: give another folder as --out, or remove it"
        )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _audit_once(
    bundle: Path, plants: Sequence[Plant], data: DataSet, plan: Plan, seed: int, folder: Path
) -> dict[str, Any]:
    path, loaded = folder / _RECORD, read_bundle(bundle)
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["sha256"] == loaded.card.sha256:  # bundles may be given in another order
            return kept
    engine = Engine(loaded, open_device("auto"))
    engine.warm_up()
    reliances = [measure_reliance(engine, data.test, one.artefact, one.label) for one in plants]
    images = first_of_each_class(data.test, plan.n_per_class)
    audit, planted = audit_planted(engine, images, plants, AuditOptions(seed=seed))
    card = engine.card
    verdicts = judge(f"{card.name} {card.sha256[:8]}", audit, planted, reliances)
    accuracy = card.accuracy["test"].accuracy if "test" in card.accuracy else None
    record = {
        "network": card.name,
        "sha256": card.sha256,
        "test_accuracy": accuracy,
        "n_clusters": len(audit.clusters),
        **as_json(verdicts, reliances),
        MARKS_KEY: score_marks(engine, data.test, plants),
    }
    folder.mkdir(parents=True, exist_ok=True)
    if plants:
        _keep_images(audit.images, planted, data.class_names, folder / "images")
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _keep_images(
    images: ImageSet, planted: NDArray[np.bool_], class_names: Sequence[str], folder: Path
) -> None:
    """Write what was audited, for `lrpserve audit`; files with an artefact are called so."""
    for pixels, label, path, is_planted in zip(
        images.pixels, images.labels, images.paths, planted, strict=True
    ):
        place = folder / class_names[label]
        place.mkdir(parents=True, exist_ok=True)
        name = f"{path.stem}-planted.png" if is_planted else path.name
        Image.fromarray(pixels).save(place / name)


def _summarize(records: Sequence[dict[str, Any]], data: DataSet, plan: Plan) -> dict[str, Any]:
    verdicts = [Verdict(**one) for record in records for one in record["verdicts"]]
    counted = calibrate(verdicts, THRESHOLD)
    clean, planted = separating_thresholds(verdicts)
    return {
        "threshold": THRESHOLD,
        "precision": _rate(counted.precision),
        "recall": _rate(counted.recall),
        "highest_clean_score": clean,
        "lowest_planted_score": planted,
        MARKS_KEY: _summarize_marks(records),
        "by_artefact": _by_artefact(verdicts, records),
        "settings": {
            "recipe": plan.recipe.name,
            "begins_with": plan.begin.card.name if plan.begin else None,
            "n_seeds": plan.n_seeds,
            "share": plan.share,
            "n_per_class": plan.n_per_class,
            "classes": data.class_names,
            "hardware": describe_hardware(open_device("auto")),
            "versions": library_versions(),
        },
        "networks": [
            {key: record[key] for key in record if key != MARKS_KEY} for record in records
        ],
    }


def _summarize_marks(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By artefact, method and metric, as `python -m training ground-truth` has its scores."""
    found = [record.get(MARKS_KEY, {}) for record in records]
    return {
        artefact: summarize_question([one[artefact] for one in found if artefact in one])
        for artefact in MARKS
        if any(artefact in one for one in found)
    }


def _by_artefact(
    verdicts: Iterable[Verdict], records: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in (reliance for record in records for reliance in record["reliance"]):
        entry = found.setdefault(one["artefact"], {"before": [], "after": [], "scores": []})
        entry["before"].append(one["before"])
        entry["after"].append(one["after"])
    for verdict in verdicts:
        if verdict.artefact:
            found[verdict.artefact]["scores"].append(verdict.score)
    return found


def _rate(rate: Rate) -> dict[str, Any]:
    return {"share": rate.share, "hits": rate.hits, "n": rate.n, "interval": rate.interval}
