"""The experiment as a whole, on noise: networks, controls, audits and the files of the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.clever_hans import run
from training.clever_hans.run import CLAIM, RESULT, Plan, RunError, calibrate_audit
from training.config import RECIPES
from training.data import DataSet, Split

pytestmark = pytest.mark.slow

RECIPE = replace(RECIPES["further"], epochs=1, batch_size=16, validation_images=8)


def noise(n: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(n) % 4)


def test_the_experiment_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataSet(noise(64, 0), noise(80, 1), ("a", "b", "c", "d"), "noise")
    plan = Plan(RECIPE, n_seeds=1, share=0.5, n_per_class=20)
    result = calibrate_audit(data, plan, (), tmp_path)
    (network,) = result["networks"]
    assert len(network["reliance"]) == 4
    assert set(result["by_artefact"]) == {"tag", "hue", "border", "jpeg"}
    assert result["settings"]["recipe"] == "further"
    written = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    assert written["networks"] == result["networks"]
    kept = sorted((tmp_path / "planted-0" / "images").glob("?/*.png"))
    assert len(kept) == 80
    assert sum(path.stem.endswith("-planted") for path in kept) == 40
    claim = json.loads((tmp_path / CLAIM).read_text(encoding="utf-8"))
    assert claim["verdict"] == "not decidable with this data"
    clean = tmp_path / "planted-0" / "run" / "bundle"

    def fail(*_: object) -> None:
        raise AssertionError("what is there is not computed again")

    monkeypatch.setattr(run, "measure_reliance", fail)
    again = calibrate_audit(data, plan, (), tmp_path)
    assert again["networks"] == result["networks"]
    monkeypatch.undo()
    stale = tmp_path / "clean-0" / "audit.json"  # of a bundle that had this place before
    stale.parent.mkdir()
    stale.write_text(json.dumps(network | {"sha256": "of another"}), encoding="utf-8")
    _, second = calibrate_audit(data, plan, (clean,), tmp_path)["networks"]
    assert second["sha256"] == network["sha256"]
    assert second["reliance"] == []
    with pytest.raises(RunError, match="give another folder as --out"):
        calibrate_audit(data, replace(plan, share=0.4), (), tmp_path)
