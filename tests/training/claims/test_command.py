"""The command on the samples: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL
from tests.helpers.bundles import write_variant
from tests.training.claims.planted import planted_sample
from training.__main__ import app
from training.claims.masks import GrabCut
from training.claims.results import ClaimFileError, read_claim
from training.claims.sample import in_turn, partners
from training.claims.sheet import MarksError, read_marks
from training.data import DataError

SAMPLES = Path(__file__).parents[2] / "samples"


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["claims", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_the_command_writes_verdicts_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = GrabCut(enlarge=4, margin=1 / 32, n_iterations=2)
    monkeypatch.setattr("training.claims.command.GrabCut", lambda: fast)
    bundles, out = (find_bundle(DEFAULT_MODEL), tmp_path / "variant"), tmp_path / "out"
    write_variant(bundles[1], seed=1)
    marks, fourth = tmp_path / "marks.json", tmp_path / "fourth.json"
    marks.write_text(json.dumps({"good": list(range(2, 200)), "bad": [1]}), encoding="utf-8")
    added = {"number": 4, "verdict": "refuted", "n_networks": 3, "reasons": ["a tag in a corner"]}
    fourth.write_text(json.dumps(added), encoding="utf-8")
    arguments = ("--data", SAMPLES, "--out", out, "--images", "2", "--marks", marks)
    output = run(*bundles, *arguments, "--add", fourth)
    written = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    assert [claim["number"] for claim in written["claims"]] == [1, 2, 3, 4]
    assert written["claims"][3]["verdict"] == "refuted"
    assert "a tag in a corner" in output
    assert [claim["number"] for claim in written["claims_on_good_masks"]] == [1, 2, 3]
    area = written["claims"][0]["conditions"][0]
    assert len(area["intervals"]) == 2
    assert area["spread"] > 0
    for claim in written["claims"]:
        assert claim["verdict"] in output
        assert claim["verdict"] in (out / "claims.md").read_text(encoding="utf-8")
    for name in ("masks", "claim-1", "claim-2", "claim-3"):
        picture = Image.open(out / f"{name}.png").convert("L")
        assert picture.getextrema() == (0, 255), name
    kept = {path: path.stat().st_mtime_ns for path in (out / "networks").iterdir()}
    assert len(kept) == 2
    run(*bundles, *arguments)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}  # measured once


def test_images_are_taken_class_by_class_in_turn() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    assert in_turn(labels, 2).tolist() == [0, 3, 5, 1, 4, 6]
    assert in_turn(labels, 1).tolist() == in_turn(labels, 2)[:3].tolist()


def test_partners_are_others_of_the_same_class_or_of_another() -> None:
    labels = torch.arange(40) % 4
    same, other = (partners(labels, 0, same_class=is_same) for is_same in (True, False))
    assert torch.equal(labels[same], labels)
    assert not (same == torch.arange(40)).any()
    assert not (labels[other] == labels).any()
    alone = partners(torch.tensor([0, 1, 1]), 0, same_class=True)
    assert alone.tolist() == [-1, 2, 1]


def test_marks_say_which_masks_are_good(tmp_path: Path) -> None:
    sample = planted_sample(8)
    path = tmp_path / "marks.json"
    path.write_text('{"good": [1, 3, 99], "bad": [0]}', encoding="utf-8")
    marks = read_marks(path)
    assert marks.is_good(sample).nonzero()[:, 0].tolist() == [1, 3]
    assert marks.share_of_good == 0.75


@pytest.mark.parametrize("text", ["", "[]", '{"good": []}', '{"good": [1], "bad": [1]}'])
def test_marks_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "marks.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MarksError):
        read_marks(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 9, "verdict": "x"}'])
def test_results_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claim.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClaimFileError):
        read_claim(path)


def test_classes_of_the_data_have_to_be_those_of_the_model(tmp_path: Path) -> None:
    for number, pixels in enumerate(planted_sample(4).pixels):
        path = tmp_path / "data" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["claims", str(find_bundle(DEFAULT_MODEL)), *arguments])
    assert isinstance(result.exception, DataError)
    assert not (tmp_path / "out").exists()
