"""The check with shuffled labels: what it says of maps that are known, and that it is run right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from service.evaluation.candidates import Candidate, find_candidates
from service.models.bundles import read_bundle
from service.runtime.engine import Engine
from training.data import DataError, DataSet, Split, hold_out
from training.faithfulness.store import RunError
from training.labels import command, maps, networks
from training.labels.command import check_labels
from training.labels.maps import BOTH, LABELS, MEASURES, SEED, Comparison, Sizes, compare_maps
from training.labels.networks import (
    BY_HEART,
    ROLES,
    SHUFFLED,
    TRUE,
    TWIN,
    LabelsError,
    check_learned,
    shuffle_labels,
    take_subset,
)
from training.labels.summary import RESULT, TABLE, table
from training.train import Trainer

N_TRAIN, N_HELD_OUT, EPOCHS = 24, 8, 4
METHODS = ("epsilon_plus_flat", "none")


def noise(n: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(n) % 4)


DATA = DataSet(noise(60, 0), noise(20, 1), ("a", "b", "c", "d"), "noise")


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches of few images, weights that learn in few steps, and two methods."""
    recipe = replace(
        BY_HEART, batch_size=8, validation_images=N_HELD_OUT, initialization="whitening"
    )
    monkeypatch.setattr(networks, "N_HELD_OUT", N_HELD_OUT)
    monkeypatch.setattr(command, "BY_HEART", recipe)

    def few(engine: Engine) -> list[Candidate]:
        return [one for one in find_candidates(engine, all_starts=False) if one.name in METHODS]

    monkeypatch.setattr(maps, "find_candidates", few)


def run(out: Path, epochs: int = EPOCHS, n_train: int = N_TRAIN, n: int = 6) -> list[str]:
    said: list[str] = []
    check_labels(DATA, out, n_train, epochs, Sizes(n, 3), 0, "cpu", said.append)
    return said


def random_maps(seed: int) -> Tensor:
    return torch.randn(8, 16, 16, generator=torch.Generator().manual_seed(seed))


def means(one: Comparison, pair: str) -> list[float]:
    return [one.pairs[pair][measure].mean for measure in MEASURES]


def test_networks_learn_their_labels_and_an_edge_detector_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(tmp_path)
    result = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    for role in ROLES:
        assert result["networks"][role.name]["accuracy"]["training images"] >= 0.95
    assert result["networks"]["shuffled"]["is_shuffled"]
    assert any(line.startswith("shuffled: knows ") for line in said)
    for name in ("edges", "random", "gaussian"):
        baseline = result["methods"][name]
        assert baseline["tells_labels_by"] == []
        for pair in (SEED, LABELS, BOTH):
            assert [one["mean"] for one in baseline["pairs"][pair].values()] == [1, 1, 1]
    lrp = result["methods"]["epsilon_plus_flat"]["pairs"]
    assert lrp[LABELS]["signed"]["mean"] < 0.9
    assert lrp[LABELS]["signed"]["n"] == 6
    rows = (tmp_path / TABLE).read_text(encoding="utf-8").splitlines()
    assert {row.split(" | ")[0] for row in rows[2:]} == {
        *("| `epsilon_plus_flat`", "| `none`", "| *edges*", "| *random*", "| *gaussian*")
    }
    assert (tmp_path / "labels.png").stat().st_size > 5_000

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("what is there is not computed again")

    monkeypatch.setattr(networks, "Trainer", fail)
    run(tmp_path, n=8)
    more = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    assert more["methods"]["none"]["falls"]["signed"]["n"] == 8
    monkeypatch.setattr(maps, "explain_maps", fail)
    run(tmp_path)
    again = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    assert again["methods"] == result["methods"]
    with pytest.raises(RunError):
        run(tmp_path, epochs=EPOCHS + 1)
    check_the_labels_of_each(tmp_path)


def check_the_labels_of_each(out: Path) -> None:
    """Each network knows its own labels, and not those of the other."""
    data = take_subset(DATA, N_TRAIN, 0)
    true, _ = hold_out(data.train, N_HELD_OUT, 0)
    shuffled, _ = hold_out(shuffle_labels(data, 0).train, N_HELD_OUT, 0)
    for role, own, other in ((TRUE, true, shuffled), (SHUFFLED, shuffled, true)):
        bundle = read_bundle(out / role.name / "bundle")
        assert check_learned(bundle, own, role.name) >= 0.95
        with pytest.raises(LabelsError, match="knows the labels of"):
            check_learned(bundle, other, role.name)


def test_a_network_that_has_not_learned_its_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"the network true knows .* train it for more --epochs"):
        run(tmp_path, epochs=1)
    assert not (tmp_path / RESULT).exists()


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="60 training images are too few: 61 are needed"):
        run(tmp_path, n_train=53)


def test_labels_are_shuffled_and_images_are_not() -> None:
    shuffled = shuffle_labels(DATA, 0).train
    assert torch.equal(shuffled.images, DATA.train.images)
    assert shuffled.labels.bincount().tolist() == DATA.train.labels.bincount().tolist()
    assert int((shuffled.labels != DATA.train.labels).sum()) > 30
    assert torch.equal(shuffle_labels(DATA, 0).train.labels, shuffled.labels)
    assert not torch.equal(shuffle_labels(DATA, 1).train.labels, shuffled.labels)


def test_networks_of_other_seeds_see_the_same_images() -> None:
    recipe = replace(BY_HEART, validation_images=N_HELD_OUT)
    one, other = (Trainer(recipe, DATA, torch.device("cpu"), seed, split_seed=7) for seed in (0, 1))
    assert torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.validation.images, other.validation.images)
    assert one.mean == other.mean
    weights = [next(iter(trainer.model.parameters())) for trainer in (one, other)]
    assert not torch.equal(*weights)


def test_a_method_that_is_equal_on_all_networks_has_1() -> None:
    found = compare_maps(dict.fromkeys(ROLES, random_maps(0)))
    for pair in (SEED, LABELS, BOTH):
        assert means(found, pair) == [1, 1, 1]
    assert found.telling == []


def test_a_method_that_follows_the_labels_tells_them() -> None:
    common = random_maps(0)
    twin = common + 0.3 * random_maps(1)
    found = compare_maps({TRUE: common, TWIN: twin, SHUFFLED: random_maps(2)})
    assert min(means(found, SEED)) > 0.7
    assert max(map(abs, means(found, LABELS))) < 0.2
    assert found.telling == ["signed", "absolute", "structure"]
    row = table({"a": found, "edges": compare_maps(dict.fromkeys(ROLES, common))}).splitlines()
    assert row[2].startswith("| `a` | 0.9")
    assert row[3].startswith("| *edges* | 1.00, 1.00, 1.00 | 0.00 [0.00, 0.00] |")


def test_a_map_that_changes_its_sign_only_tells_labels_by_the_sign_only() -> None:
    common = random_maps(0)
    found = compare_maps({TRUE: common, TWIN: common, SHUFFLED: -common})
    assert found.falls["signed"].mean == pytest.approx(2)
    assert found.falls["absolute"].mean == 0
    assert "absolute" not in found.telling


def test_seeds_that_differ_as_much_as_labels_tell_nothing() -> None:
    found = compare_maps({TRUE: random_maps(0), TWIN: random_maps(1), SHUFFLED: random_maps(2)})
    assert max(map(abs, means(found, LABELS))) < 0.2
    assert found.telling == []


def test_weights_that_both_networks_began_with_are_not_taken_for_labels() -> None:
    common = random_maps(0)
    found = compare_maps({TRUE: common, TWIN: random_maps(1), SHUFFLED: common})
    assert means(found, LABELS) == [1, 1, 1]
    assert [one.mean for one in found.falls.values()] == pytest.approx([0, 0, 0], abs=1e-12)
