"""The experiment from a network to the summary, on networks that take no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from service.errors import BundleError
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from training import __main__ as command_line
from training.ground_truth import experiment, scores
from training.ground_truth.experiment import run_experiment
from training.ground_truth.interventions import INTERVENTIONS
from training.ground_truth.planted import planted_bundle
from training.ground_truth.questions import METRICS
from training.ground_truth.scores import (
    GroundTruthError,
    Sizes,
    measure_methods,
    measure_planted,
)
from training.ground_truth.summary import summarize

CPU = torch.device("cpu")
SIZES = Sizes(controls=6, one_pass=4, sampled=2)


@pytest.fixture
def obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network gives the answers that it has to."""

    def held(variant: str, *_: Any) -> dict[str, NDArray[np.bool_]]:
        return {name: np.ones(SIZES.controls, np.bool_) for name in INTERVENTIONS[variant]}

    monkeypatch.setattr(scores, "intervene", held)


def test_a_network_that_looks_elsewhere_is_refused(tmp_path: Path) -> None:
    engine = Engine(planted_bundle("corner", 0), CPU)
    with pytest.raises(GroundTruthError, match="of 40 images only"):
        measure_methods("marked", engine, 0, Sizes(40, 30, 2), tmp_path / "scores.json")


@pytest.mark.usefixtures("obeys")
def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, path = Engine(planted_bundle("corner", 0), CPU), tmp_path / "scores.json"
    first = measure_methods("two", engine, 0, SIZES, path)
    assert json.loads(path.read_text()) == first
    kept = json.loads(path.read_text())
    del kept["scores"]["contrast"]["epsilon_plus"]
    path.write_text(json.dumps(kept))
    measured = []
    original = scores._score

    def score(engine: Engine, candidate: Any, *rest: Any) -> Any:
        measured.append(candidate.name)
        return original(engine, candidate, *rest)

    monkeypatch.setattr(scores, "_score", score)
    assert measure_methods("two", engine, 0, SIZES, path)["scores"] == first["scores"]
    assert measured == ["epsilon_plus"]


def test_every_method_and_baseline_is_scored() -> None:
    found = measure_planted("detector", 0, SIZES, CPU)["scores"]
    assert set(found) == {"class", "contrast"}
    assert {"baseline: random", "baseline: edges", "baseline: gaussian"} < set(found["class"])
    assert {"epsilon_plus_flat", "smooth_grad", "integrated_gradients", "occlusion"} < set(
        found["class"]
    )
    lengths = {name: len(of_method["rank"]) for name, of_method in found["class"].items()}
    assert lengths["epsilon_plus_flat"] == SIZES.one_pass
    assert lengths["occlusion"] == SIZES.sampled
    # the pattern is found, and which of the two it is
    assert min(found["class"]["epsilon_plus"]["mass"]) > 0.999
    assert min(found["contrast"]["epsilon_plus"]["mass"]) > 0.999
    assert max(found["class"]["baseline: random"]["mass"]) < 0.1


def test_a_summary_has_the_mean_its_interval_and_the_spread_of_seeds() -> None:
    runs = [
        {"seed": seed, "scores": {"class": {"m": dict.fromkeys(METRICS, values)}}}
        for seed, values in enumerate(([0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]))
    ]
    found = summarize({"v": runs}, SIZES, CPU)
    value = found["questions"]["v/class"]["m"]["pointing"]
    assert value["mean"] == 0.875
    assert value["seeds"] == [0.75, 1.0]
    assert value["low"] < 0.875 < value["high"] == 1.0
    assert value["n"] == 8
    assert found["networks"]["v"] == [{"seed": 0}, {"seed": 1}]
    assert "torch" in found["provenance"]["versions"]


@pytest.mark.usefixtures("obeys")
def test_the_command_writes_results_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(variant: str, seed: int, run: Path, *rest: Any) -> Bundle:
        run.mkdir(parents=True, exist_ok=True)
        bundle = planted_bundle("corner", seed)
        changed = {"accuracy": {"test": {"accuracy": 0.98, "n": 50}}, "architecture": rest[-1]}
        card = bundle.card.model_validate({**bundle.card.model_dump(), **changed})
        return Bundle(card, bundle.model)

    monkeypatch.setattr(experiment, "train_network", trained)
    options = [
        "--variant",
        "marked",
        "--seeds",
        "1",
        "--n",
        "3",
        "--n-sampled",
        "2",
        "--architecture",
        "resnet18-32",
    ]  # as many as `obeys`
    done = CliRunner().invoke(
        command_line.app, ["ground-truth", "--out", str(tmp_path), *options, "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    assert "marked, seed 0: accuracy 98.00%" in done.output
    assert "below 99%" in done.output
    written = json.loads((tmp_path / "ground-truth.json").read_text())
    assert set(written["questions"]) == {
        "marked/class",
        "planted-corner/class",
        "planted-linear/class",
        "planted-detector/class",
        "planted-detector/contrast",
    }
    assert written["networks"]["marked"][0]["architecture"] == "resnet18-32"
    assert (tmp_path / "marked.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("obeys")
def test_networks_of_another_architecture_are_not_taken_for_those_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "train_network", lambda *_: planted_bundle("corner", 0))
    with pytest.raises(GroundTruthError, match="not a resnet18-32: give another folder"):
        run_experiment(*(tmp_path, ["marked"], [0], SIZES, CPU, print), architecture="resnet18-32")


def test_an_architecture_that_is_none_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command_line.app, ["ground-truth", "--out", str(tmp_path), "--architecture", "vgg99"]
    )
    assert isinstance(done.exception, BundleError)


def test_a_variant_that_is_none_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command_line.app, ["ground-truth", "--out", str(tmp_path), "--variant", "cats"]
    )
    assert done.exit_code == 2
    assert "shapes, marked, two" in " ".join(done.output.split())
