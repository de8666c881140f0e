"""Whole runs on a small data set: files, resuming bit for bit, interruption, the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from service.errors import ServiceError
from service.models.bundles import read_bundle
from service.models.card import Provenance
from service.models.measures import accuracy_of
from tests.training.folders import write_folder
from training import __main__ as command_line
from training.augment import augment
from training.checkpoints import CheckpointError, open_run, read_last_checkpoint
from training.config import RECIPES, Recipe
from training.data import DataSet, load_data
from training.progress import BarView, LineView, make_progress
from training.train import Trainer

CPU = torch.device("cpu")
RUNNER = CliRunner()


def small(recipe: Recipe, epochs: int = 3) -> Recipe:
    return replace(recipe, epochs=epochs, batch_size=8, validation_images=8)


SMALL = {name: small(RECIPES[name]) for name in ("fast", "strong", "tutorial")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_folder(root / "train", per_class=20)
    write_folder(root / "test", per_class=5)
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> DataSet:
    return load_data(str(folder), folder)


@pytest.fixture(params=SMALL)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return SMALL[request.param]


def interrupt_in_epoch(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Press Ctrl-C in the second step of an epoch."""
    train_step, n_steps = trainer._train_step, 0

    def step(*arguments: object) -> torch.Tensor:
        nonlocal n_steps
        n_steps += 1
        if n_steps == epoch * trainer.steps_per_epoch + 2:
            raise KeyboardInterrupt
        return train_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "_train_step", step)


def test_a_resumed_run_equals_one_that_was_never_interrupted(
    recipe: Recipe, data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = Trainer(recipe, data, CPU, seed=1)
    straight.fit(tmp_path / "straight")

    stopped = Trainer(recipe, data, CPU, seed=1)
    interrupt_in_epoch(stopped, monkeypatch, epoch=1)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(tmp_path / "stopped")
    torch.manual_seed(99)  # whatever happened in between must not matter
    resumed = Trainer(recipe, data, CPU, seed=1)
    resumed.resume(tmp_path / "stopped")
    assert resumed.epoch == 1
    resumed.fit(tmp_path / "stopped")

    for kind in ("model", "average"):
        expected = getattr(straight, kind).state_dict()
        for name, tensor in getattr(resumed, kind).state_dict().items():
            assert torch.equal(tensor, expected[name]), (kind, name)
    losses = [[r["training_loss"] for r in t.history] for t in (straight, resumed)]
    assert losses[0] == losses[1]


def test_another_seed_gives_other_weights(data: DataSet, tmp_path: Path) -> None:
    runs = [Trainer(small(RECIPES["tutorial"], epochs=1), data, CPU, seed) for seed in (1, 2)]
    for number, run in enumerate(runs):
        run.fit(tmp_path / str(number))
    first, second = (run.result.state_dict()["features.0.weight"] for run in runs)
    assert not torch.equal(first, second)


def test_each_epoch_draws_anew(data: DataSet, tmp_path: Path) -> None:
    # the weights stay as they are: only order, flips and dropout can change the loss
    still = replace(small(RECIPES["tutorial"], epochs=2), learning_rate=0.0)
    trainer = Trainer(still, data, CPU, seed=0)
    trainer.fit(tmp_path)
    assert trainer.history[0]["training_loss"] != trainer.history[1]["training_loss"]


def test_each_image_is_seen_from_both_sides_in_two_epochs(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mirrored(images: torch.Tensor, *arguments: Any) -> torch.Tensor:
        *_, is_mirrored = arguments
        for image, flag in zip(images, is_mirrored, strict=True):
            sides.setdefault(image.numpy().tobytes(), []).append(bool(flag))
        return augment(images, *arguments)

    sides: dict[bytes, list[bool]] = {}
    monkeypatch.setattr("training.train.augment", mirrored)
    recipe = replace(small(RECIPES["fast"], epochs=2), batch_size=32)  # all images in each epoch
    Trainer(recipe, data, CPU, seed=0).fit(tmp_path)
    assert len(sides) == 32
    assert all(sorted(seen_from) == [False, True] for seen_from in sides.values())
    assert {seen_from[0] for seen_from in sides.values()} == {False, True}


def test_training_lowers_the_loss(recipe: Recipe, data: DataSet, tmp_path: Path) -> None:
    longer = replace(recipe, epochs=6)
    trainer = Trainer(longer, data, CPU, seed=0)
    trainer.fit(tmp_path)
    assert trainer.history[-1]["training_loss"] < trainer.history[0]["training_loss"]


def test_dropout_is_off_where_the_recipe_says_so(
    recipe: Recipe, data: DataSet, tmp_path: Path
) -> None:
    trainer = Trainer(replace(recipe, epochs=1), data, CPU, seed=0)
    trainer.fit(tmp_path)
    features, classifier = trainer.model.features, trainer.model.classifier
    assert features[2].training == recipe.feature_dropout  # type: ignore[index, union-attr]
    assert classifier[3].training == recipe.classifier_dropout  # type: ignore[index, union-attr]


def test_a_run_writes_history_curves_and_a_bundle(
    recipe: Recipe, data: DataSet, tmp_path: Path
) -> None:
    trainer = Trainer(recipe, data, CPU, seed=0)
    trainer.fit(tmp_path)
    card = trainer.finish(tmp_path / "bundle", "small", "random pixels")
    history = json.loads((tmp_path / "history.json").read_text())
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert all(record["images_per_s"] > 0 for record in history)
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.size[0] > 500
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.card == card
    assert (card.accuracy["validation"].n, card.accuracy["test"].n) == (8, 10)
    assert {split: accuracy_of(counts) for split, counts in card.confusion.items()} == card.accuracy
    assert [epoch.validation_accuracy for epoch in card.history] == [
        record["validation_accuracy"] for record in history
    ]
    assert isinstance(card.provenance, Provenance)
    assert card.provenance.recipe["name"] == recipe.name
    assert card.provenance.data == "random pixels"
    assert card.provenance.images_per_s > 0
    for name, tensor in trainer.result.state_dict().items():
        assert torch.equal(bundle.model.state_dict()[name], tensor)


def test_only_the_last_checkpoints_are_kept(data: DataSet, tmp_path: Path) -> None:
    Trainer(SMALL["tutorial"], data, CPU, seed=0).fit(tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-0000008.pt", "step-0000012.pt"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(small(RECIPES["tutorial"], epochs=1), data, CPU, seed=0).fit(tmp_path)
    trainer = Trainer(small(RECIPES["tutorial"], epochs=1), data, CPU, seed=0)

    def fail(content: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError("the disk is full")

    monkeypatch.setattr("training.checkpoints.torch.save", fail)
    with pytest.raises(OSError, match="full"):
        trainer.fit(tmp_path)
    assert read_last_checkpoint(tmp_path, CPU).epoch == 1


@pytest.mark.parametrize(
    "change", [lambda t: replace(t, batch_size=4), lambda t: replace(t, learning_rate=1.0)]
)
def test_a_checkpoint_of_another_recipe_is_refused(
    change: Callable[[Recipe], Recipe], data: DataSet, tmp_path: Path
) -> None:
    recipe = small(RECIPES["tutorial"], epochs=1)
    Trainer(recipe, data, CPU, seed=0).fit(tmp_path)
    with pytest.raises(CheckpointError, match="another recipe or seed"):
        Trainer(change(recipe), data, CPU, seed=0).resume(tmp_path)
    with pytest.raises(CheckpointError, match="another recipe or seed"):
        Trainer(recipe, data, CPU, seed=1).resume(tmp_path)


def test_a_truncated_checkpoint_is_refused_and_the_one_before_still_serves(
    data: DataSet, tmp_path: Path
) -> None:
    Trainer(small(RECIPES["tutorial"], epochs=2), data, CPU, seed=0).fit(tmp_path)
    last = tmp_path / "checkpoints" / "step-0000008.pt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"step-0000008\.pt cannot be read .*remove it"):
        read_last_checkpoint(tmp_path, CPU)
    last.unlink()
    assert read_last_checkpoint(tmp_path, CPU).epoch == 1


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.trace,))


def test_a_checkpoint_runs_no_code_of_its_own(tmp_path: Path) -> None:
    open_run(tmp_path, resume=False)
    torch.save(Trap(tmp_path / "trace"), tmp_path / "checkpoints" / "step-0000004.pt")
    with pytest.raises(CheckpointError, match="cannot be read") as refused:
        read_last_checkpoint(tmp_path, CPU)
    assert "\n" not in refused.value.detail
    assert not (tmp_path / "trace").exists()


def test_a_finished_run_is_not_overwritten(data: DataSet, tmp_path: Path) -> None:
    Trainer(small(RECIPES["tutorial"], epochs=1), data, CPU, seed=0).fit(tmp_path)
    with pytest.raises(CheckpointError, match="--resume"):
        open_run(tmp_path, resume=False)
    open_run(tmp_path, resume=True)


def test_a_folder_that_cannot_hold_checkpoints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    with pytest.raises(CheckpointError, match="cannot be made"):
        open_run(tmp_path, resume=False)


def test_nothing_is_made_where_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        open_run(tmp_path / "mistyped", resume=True)
    assert not (tmp_path / "mistyped").exists()


def test_a_checkpoint_of_other_classes_is_refused(data: DataSet, tmp_path: Path) -> None:
    recipe = small(RECIPES["tutorial"], epochs=1)
    Trainer(recipe, data, CPU, seed=0).fit(tmp_path)
    other = replace(data, class_names=(*data.class_names, "horse"))
    with pytest.raises(CheckpointError, match="other classes"):
        Trainer(recipe, other, CPU, seed=0).resume(tmp_path)


def test_without_a_terminal_there_is_a_line_for_each_epoch(
    data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(SMALL["tutorial"], data, CPU, seed=0).fit(tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(word in lines[0] for word in ("loss", "accuracy", "images/s", "min left"))


def test_in_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_progress(2, 5, 0), LineView)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(make_progress(2, 5, 0), BarView)


def test_the_bar_shows_loss_accuracy_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    figures = ("training_loss", "validation_loss", "validation_accuracy", "images_per_s")
    with BarView(epochs=4, steps_per_epoch=1, n_done=2) as bar:
        bar.step(0.625)
        bar.epoch({"epoch": 3, "seconds": 1.0, **dict.fromkeys(figures, 0.5)})
    shown = capsys.readouterr().err
    assert "epoch 3/4: training loss 0.5000" in shown  # the line above the bar
    bar_line = shown.splitlines()[-1]
    assert all(words in bar_line for words in ("epoch 4/4", "loss 0.625", "accuracy 50.0%"))
    assert re.search(r"left +[-\d]+:", bar_line)


def test_the_command_line_trains_and_evaluates_and_reports(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "RECIPES", SMALL)
    run, images = str(tmp_path / "run"), ["--data", str(folder)]
    for arguments in (
        ["train", *images, "--out", run, "--recipe", "tutorial", "--name", "small"],
        ["evaluate", f"{run}/bundle", *images, "--out", f"{run}/evaluation"],
        ["report", f"{run}/bundle", *images, "--out", f"{run}/report"],
    ):
        result = RUNNER.invoke(command_line.app, arguments)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "evaluation" / "confusion.png").is_file()
    assert (tmp_path / "run" / "report" / "class-dog.png").is_file()


def test_a_run_is_not_overwritten_by_a_second_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "RECIPES", {"tutorial": small(RECIPES["tutorial"], 1)})
    arguments = ["train", "--data", str(folder), "--out", str(tmp_path), "--recipe", "tutorial"]
    assert RUNNER.invoke(command_line.app, arguments).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert isinstance(RUNNER.invoke(command_line.app, arguments).exception, CheckpointError)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_ctrl_c_keeps_the_last_epoch_and_resume_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "RECIPES", SMALL)

    def interrupted(*arguments: Any) -> Trainer:
        trainer = Trainer(*arguments)
        interrupt_in_epoch(trainer, monkeypatch, epoch=1)
        return trainer

    monkeypatch.setattr("training.__main__.Trainer", interrupted)
    arguments = ["train", "--data", str(folder), "--out", str(tmp_path), "--recipe", "tutorial"]
    stopped = RUNNER.invoke(command_line.app, arguments)
    assert stopped.exit_code == 130
    assert "4 of 12 steps are kept" in stopped.output
    monkeypatch.setattr("training.__main__.Trainer", Trainer)
    resumed = RUNNER.invoke(command_line.app, [*arguments, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert read_last_checkpoint(tmp_path, CPU).epoch == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "/nowhere"], "no folder /nowhere"),
        (["--data", "{folder}", "--device", "abacus"], "abacus"),
        (["--data", "{folder}", "--recipe", "soup"], "strong"),
        (["--data", "{folder}", "--seed", "10000000000000000000"], "seed"),
        (["--data", "{folder}", "--name", "No Name"], "No Name"),
        (["--data", "{folder}", "--resume"], "no checkpoint"),
        (["--data", "{folder}", "--out", "{file}"], "cannot be made"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    words: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    places = {"folder": folder, "file": tmp_path / "file"}
    given = ["--out", str(tmp_path / "run"), *(a.format(**places) for a in arguments)]
    monkeypatch.setattr("sys.argv", ["training", "train", *given])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        command_line.run()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
def test_help_shows_an_example(command: str) -> None:
    shown = RUNNER.invoke(command_line.app, [command, "--help"]).output
    assert f"Example: python -m training {command}" in shown


def test_errors_of_training_are_errors_of_the_service() -> None:
    assert issubclass(CheckpointError, ServiceError)
