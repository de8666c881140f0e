"""Mean and spread over seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from service.errors import ServiceError
from tests.training.folders import write_folder
from training import __main__ as command_line
from training.checkpoints import CheckpointError
from training.config import TUTORIAL
from training.data import load_data
from training.seeds import FinishedRun, Spread, read_run, summarize
from training.train import Trainer

RECIPE = replace(TUTORIAL, epochs=1, batch_size=8, validation_images=8)


def finished(seed: int, accuracy: float, recipe: str = "fast") -> FinishedRun:
    return FinishedRun(recipe, "minivgg", seed, {"test": accuracy}, [])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs."""
    root = tmp_path_factory.mktemp("runs")
    write_folder(root / "images", per_class=20)
    data = load_data(str(root / "images"), root)
    for seed in (3, 4):
        trainer = Trainer(RECIPE, data, torch.device("cpu"), seed)
        trainer.fit(root / str(seed))
        trainer.finish(root / str(seed) / "bundle", "small", "random pixels")
    return [root / "3", root / "4"]


def test_the_spread_is_that_of_single_runs() -> None:
    spread = Spread.of([0.84, 0.85, 0.89])
    assert spread.mean == pytest.approx(0.86)
    assert spread.deviation == pytest.approx((0.0014 / 2) ** 0.5)
    assert (spread.low, spread.high, spread.n) == (0.84, 0.89, 3)
    assert str(spread) == "86.00% ± 2.65 (84.00-89.00, n=3)"


def test_one_run_has_no_spread() -> None:
    assert str(Spread.of([0.5])) == "50.00% (n=1)"


def test_each_recipe_has_a_spread_of_its_own() -> None:
    runs = [finished(0, 0.8), finished(0, 0.5, "slow"), finished(1, 0.9)]
    means = {kind[0]: spreads["test"].mean for kind, spreads in summarize(runs).items()}
    assert means == pytest.approx({"fast": 0.85, "slow": 0.5})


def test_a_seed_counts_once() -> None:
    with pytest.raises(CheckpointError, match="2 runs of fast, minivgg have the seed 1"):
        summarize([finished(1, 0.8), finished(0, 0.8), finished(1, 0.9)])


def test_a_run_is_read_as_it_was_made(runs: list[Path]) -> None:
    found = [read_run(run) for run in runs]
    assert [run.seed for run in found] == [3, 4]
    assert found[0].kind == ("tutorial", "minivgg")
    assert [record["epoch"] for record in found[0].history] == [1]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="not a finished run"):
        read_run(tmp_path)


def test_the_command_prints_the_spread_and_draws_the_curves(
    runs: list[Path], tmp_path: Path
) -> None:
    arguments = ["seeds", *map(str, runs), "--out", str(tmp_path / "curves.png")]
    result = CliRunner().invoke(command_line.app, arguments)
    assert result.exit_code == 0, result.output
    tests = [read_run(run).accuracy["test"] for run in runs]
    assert f"tutorial, minivgg, test: {Spread.of(tests)}" in result.output
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > 500
