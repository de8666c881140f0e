"""The experiment of faithfulness: it goes on where it stopped, and writes what it measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.models.card import read_card
from service.models.registry import SHIPPED
from service.settings import DEFAULT_MODEL
from tests.conftest import SAMPLES
from training.faithfulness import experiment, store
from training.faithfulness.command import Arguments, UnknownName, run_faithfulness
from training.faithfulness.experiment import SETTINGS, Sizes
from training.faithfulness.extras import EXTRA_MEASURES, EXTRAS, Memoized
from training.faithfulness.store import RunError, Store
from training.faithfulness.summary import scores_of

METHODS = ("epsilon_plus_flat", "random", "deconvnet")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arguments:
    """Blocks of 6 images, two of the default method and one of the others."""
    for module in (experiment, store):
        monkeypatch.setattr(module, "BLOCK", 6)
    bundle = Path(shutil.copytree(SHIPPED / DEFAULT_MODEL, tmp_path / "bundle"))
    return Arguments(
        *(bundle, SAMPLES, tmp_path / "out", Sizes(12, 6), METHODS, ("blur-8", "blur-4")),
        *(60.0, False, False, "cpu"),
    )


def test_it_writes_scores_with_intervals_and_a_picture(arguments: Arguments) -> None:
    said: list[str] = []
    assert run_faithfulness(replace(arguments, has_extras=True, keeps=True), said.append)

    told = json.loads((arguments.out / "faithfulness.json").read_text(encoding="utf-8"))
    evidence = told["evidence"]
    assert next(iter(evidence["methods"])) == "epsilon_plus_flat"
    of_default = evidence["methods"]["epsilon_plus_flat"]
    assert of_default["gap blur-4"]["n"] == 12
    assert evidence["methods"]["deconvnet"]["gap blur-4"]["n"] == 6
    assert evidence["settings"]["compared_on"] == 6
    gap = of_default["insertion blur-8"]["mean"] - of_default["deletion blur-8"]["mean"]
    assert of_default["gap blur-8"]["mean"] == pytest.approx(gap, abs=2e-4)
    assert set(EXTRA_MEASURES) <= set(of_default)
    assert "completeness gap" not in evidence["methods"]["deconvnet"]  # it does not conserve
    curve = told["curves"]["random"]["blur-4"]
    assert curve["n"] == 12
    assert curve["morf"][0] == curve["lerf"][0]
    check_layers(arguments.out, evidence["methods"])
    assert "`epsilon_plus_flat`" in (arguments.out / "table.md").read_text(encoding="utf-8")
    assert (arguments.out / "curves.png").stat().st_size > 10_000
    kept = read_card(arguments.bundle).evidence
    assert kept is not None
    assert "deletion blur-8" in of_default
    others = {"deletion blur-8", "insertion blur-8"}  # of the setting that does not decide
    without = {
        "measures": {
            name: text for name, text in evidence["measures"].items() if name not in others
        },
        "methods": {
            method: {name: value for name, value in scores.items() if name not in others}
            for method, scores in evidence["methods"].items()
        },
        "baselines": ("random",),
        "best": tuple(evidence["best"]),
    }
    assert kept.model_dump() == evidence | without


def check_layers(out: Path, scores: dict[str, dict[str, dict[str, float]]]) -> None:
    """Similarity is kept after each layer; the first and the last one are measures."""
    told = json.loads((out / "randomized.json").read_text(encoding="utf-8"))
    assert told["layers"] == [
        *(f"classifier.{place}" for place in (7, 4, 1)),
        *(f"features.{place}" for place in (9, 6, 3, 0)),
    ]
    assert set(told["methods"]) == {"epsilon_plus_flat", "deconvnet"}
    for method, found in told["methods"].items():
        by_layer = [one["mean"] for one in found["rank"]]
        assert len(set(by_layer)) == 7
        assert by_layer[0] == pytest.approx(scores[method]["randomized top"]["mean"], abs=1e-3)
        assert by_layer[-1] == pytest.approx(scores[method]["randomized all"]["mean"], abs=1e-3)
    table = (out / "randomized.md").read_text(encoding="utf-8")
    last = told["methods"]["deconvnet"]["absolute_rank"][-1]["mean"]
    assert table.splitlines()[-1].startswith("| `deconvnet` | ")
    assert table.splitlines()[-1].endswith(f" {last:.2f} | 6 |")


def test_it_stops_when_the_time_is_over_and_goes_on_with_the_rest(arguments: Arguments) -> None:
    said: list[str] = []
    hurried = replace(arguments, minutes=0.0)
    n_parts = 2 * (2 + 2 + 1)  # settings, blocks of each method
    for n_left in range(n_parts, 1, -1):
        assert not run_faithfulness(hurried, said.append)
        assert any(line.startswith(f"{n_left} parts of") for line in said)
        if n_left < n_parts - 1:
            break
    assert run_faithfulness(arguments, said.append)
    halting = (arguments.out / "faithfulness.json").read_text(encoding="utf-8")
    shutil.rmtree(arguments.out)
    assert run_faithfulness(arguments, said.append)
    whole = (arguments.out / "faithfulness.json").read_text(encoding="utf-8")
    assert json.loads(halting)["curves"] == json.loads(whole)["curves"]


def test_a_run_of_few_images_is_continued_with_more(arguments: Arguments) -> None:
    few = replace(arguments, sizes=Sizes(8, 8), methods=("epsilon_plus_flat", "random"))
    assert run_faithfulness(few, print)
    assert run_faithfulness(arguments, print)
    continued = json.loads((arguments.out / "faithfulness.json").read_text(encoding="utf-8"))
    assert run_faithfulness(few, print)  # fewer again: what is there is more than enough
    shutil.rmtree(arguments.out)
    assert run_faithfulness(arguments, print)
    whole = json.loads((arguments.out / "faithfulness.json").read_text(encoding="utf-8"))
    assert continued["curves"] == whole["curves"]


def test_a_folder_of_another_run_is_not_continued(arguments: Arguments, tmp_path: Path) -> None:
    Store(arguments.out).open({"model_sha256": "of another model"})
    with pytest.raises(RunError, match="another model"):
        run_faithfulness(arguments, print)
    with pytest.raises(UnknownName, match="there is no 'magic'"):
        run_faithfulness(replace(arguments, out=tmp_path / "b", methods=("magic",)), print)


def test_blocks_are_read_up_to_one_that_is_missing(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    assert kept.read_all("a (b)", "part") is None
    for block in (0, 1, 3):
        kept.write("a (b)", "part", block, {"x": np.full(2, block)})
    found = kept.read_all("a (b)", "part")
    assert found is not None
    assert found["x"].tolist() == [0, 0, 1, 1]
    assert kept.read_all("a", "part") is None


def test_a_measure_that_is_infinite_for_an_image_has_no_score(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    values = {"sensitivity": np.array([0.5, np.inf]), "sparseness": np.array([0.25, 0.75])}
    kept.write("zeros", EXTRAS, 0, values)
    assert {name: score.mean for name, score in scores_of(kept, "zeros").items()} == {
        "sparseness": 0.5
    }


def test_batches_that_were_seen_are_not_predicted_again() -> None:
    seen: list[Tensor] = []

    def predict(images: Tensor) -> Tensor:
        seen.append(images)
        return images.sum((1, 2, 3))[:, None]

    memoized = Memoized(predict)
    images = torch.rand(3, 3, 4, 4)
    assert torch.equal(memoized(images), memoized(images.clone()))
    memoized(images + 1)
    assert len(seen) == 2


def test_settings_are_three_fills_with_four_patches() -> None:
    assert len(SETTINGS) == 12
    assert {one.fill for one in SETTINGS.values()} == {"blur", "mean", "linear"}
