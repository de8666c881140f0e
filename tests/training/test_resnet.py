"""Training of a network with batch norms: the average's statistics, resuming, the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from service.models.bundles import read_bundle
from tests.training.folders import write_folder
from training import __main__ as command_line
from training.augment import network_input
from training.average import update_average
from training.config import RECIPES
from training.data import DataSet, load_data
from training.train import Trainer

CPU = torch.device("cpu")
RESIDUAL = replace(RECIPES["residual"], epochs=2, batch_size=4, validation_images=8)


@pytest.fixture(autouse=True)
def _with_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large batches have them."""
    monkeypatch.setattr("training.replicas._LEAST_IMAGES", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_folder(root / "train", per_class=10)
    write_folder(root / "test", per_class=2)
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> DataSet:
    """Images of 8x8, so that steps take milliseconds."""
    return load_data(str(folder), folder, (8, 8))


def make_trainer(data: DataSet) -> Trainer:
    return Trainer(RESIDUAL, data, CPU, 1, "resnet18-32")


def norms(model: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            yield name, module


def statistics(model: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and unbiased variance of each batch norm's input, all norms using those of the batch."""
    found = {}

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found[name] = (inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3)))

        return module.register_forward_pre_hook(keep)

    hooks = [watch(name, norm) for name, norm in norms(model)]
    model.train()
    with torch.no_grad():
        model(images)
    model.eval()
    for hook in hooks:
        hook.remove()
    return found


def test_the_averages_statistics_are_those_of_its_own_activations(
    data: DataSet, tmp_path: Path
) -> None:
    trainer = make_trainer(data)
    trainer.fit(tmp_path)
    kept = {name: (n.running_mean, n.running_var) for name, n in norms(trainer.average)}
    kept = {name: (m.clone(), v.clone()) for name, (m, v) in kept.items()}  # type: ignore[union-attr]
    images = network_input(trainer.train.images, trainer.mean, trainer.std)
    for name, expected in statistics(trainer.average, images).items():
        torch.testing.assert_close(kept[name], expected, rtol=1e-4, atol=1e-6)


def test_the_average_is_left_in_evaluation_mode(data: DataSet, tmp_path: Path) -> None:
    trainer = make_trainer(data)
    trainer.fit(tmp_path)
    assert not any(module.training for module in trainer.average.modules())
    assert {norm.momentum for _, norm in norms(trainer.average)} == {0.1}


def test_an_average_moves_by_its_share() -> None:
    average, model = nn.Linear(2, 2), nn.Linear(2, 2)
    before = average.weight.clone()
    update_average(average, model, 0.75)
    torch.testing.assert_close(average.weight, 0.75 * before + 0.25 * model.weight)


@pytest.mark.parametrize("stopped_at", [2, 3, 5])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_bit_for_bit(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    straight = make_trainer(data)
    assert straight.steps_per_epoch == 3
    straight.fit(tmp_path / "straight")

    monkeypatch.setattr("training.train.CHECKPOINT_S", 0.0)  # after each step
    stopped = make_trainer(data)
    train_step = stopped._train_step

    def step(indices: Tensor) -> Tensor:
        if stopped.step == stopped_at:
            raise KeyboardInterrupt
        return train_step(indices)

    monkeypatch.setattr(stopped, "_train_step", step)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(tmp_path / "stopped")
    assert stopped.saved_step == stopped_at
    torch.manual_seed(99)  # whatever happened in between must not matter
    resumed = make_trainer(data)
    resumed.resume(tmp_path / "stopped")
    assert resumed.step == stopped_at
    assert resumed.fit(tmp_path / "stopped")

    for kind in ("model", "average"):
        expected = getattr(straight, kind).state_dict()
        for name, tensor in getattr(resumed, kind).state_dict().items():
            assert torch.equal(tensor, expected[name]), (kind, name)
    losses = [[r["training_loss"] for r in t.history] for t in (straight, resumed)]
    assert losses[0] == losses[1]


def test_a_run_stops_when_its_time_is_over_and_keeps_what_is_done(
    data: DataSet, tmp_path: Path
) -> None:
    trainer = make_trainer(data)
    assert not trainer.fit(tmp_path, minutes=0)
    again = make_trainer(data)
    again.resume(tmp_path)
    assert again.step == trainer.step < again.n_steps
    assert again.fit(tmp_path)


def test_the_command_line_trains_in_slices_and_writes_a_bundle(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "RECIPES", {"residual": replace(RESIDUAL, epochs=1)})
    arguments = ["train", "--data", str(folder), "--out", str(tmp_path), "--recipe", "residual"]
    arguments += ["--architecture", "resnet18-32", "--name", "small"]
    first = CliRunner().invoke(command_line.app, [*arguments, "--minutes", "0"])
    assert first.exit_code == 75, first.output
    assert "stopped" in first.output
    rest = CliRunner().invoke(command_line.app, [*arguments, "--resume"])
    assert rest.exit_code == 0, rest.output
    card = read_bundle(tmp_path / "bundle").card
    assert (card.architecture, card.input_size) == ("resnet18-32", (32, 32))
