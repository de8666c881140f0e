"""`lrpserve models`: the models that can be served."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL, PREFIX
from tests.commands.command_line import Lrpserve, assert_one_sentence


def test_models_lists_the_models_and_marks_the_default(lrpserve: Lrpserve, card: ModelCard) -> None:
    done = lrpserve("models")
    assert done.code == 0
    (row,) = [line for line in done.out.splitlines() if card.name in line]
    measured = card.accuracy["test"]
    assert row.split()[:2] == [card.name, "*"]
    assert f"{measured.accuracy:.2%} (n={measured.n})" in row
    assert "32x32" in row


def test_models_lists_a_default_bundle_given_by_its_path(
    lrpserve: Lrpserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(find_bundle(DEFAULT_MODEL), tmp_path / "bundle")
    monkeypatch.setenv(f"{PREFIX}MODEL", str(bundle))
    shipped, chosen = lrpserve("models").out.splitlines()[1:]
    assert shipped.split()[:2] == [DEFAULT_MODEL, "minivgg"]
    assert chosen.split()[:2] == [str(bundle), "*"]


def test_a_missing_folder_of_models_is_one_sentence(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", "/nowhere/at/all")
    assert_one_sentence(lrpserve("models"), "/nowhere/at/all", "LRPSERVE_MODELS has to be a folder")
