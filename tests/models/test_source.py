"""What is wrong with a model is said before torch is loaded."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from service.errors import BundleError
from service.models.builtin import LAST_LAYERS
from service.models.source import Source, check_source
from service.models.weights_header import count_rows

HALVES = (0.5, 0.5, 0.5)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Weights of three classes, and three labels."""
    torch.save({"fc.weight": torch.zeros(3, 8), "fc.bias": torch.zeros(3)}, tmp_path / "w.pt")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    files = (tmp_path / "w.pt", tmp_path / "labels.txt")
    return Source("mine", "resnet18", *files, HALVES, HALVES, (32, 32))


def test_a_source_that_fits_becomes_a_card(source: Source, tmp_path: Path) -> None:
    card = check_source(source, tmp_path).card
    assert (card.name, card.labels) == ("mine", ("a", "b", "c"))


def test_a_wrong_number_of_labels_is_said(source: Source, tmp_path: Path) -> None:
    source.labels.write_text("a\nb\n")
    said = r"labels\.txt has 2 labels, but .*w\.pt has weights for 3 classes \(fc\.weight\)"
    with pytest.raises(BundleError, match=said):
        check_source(source, tmp_path)


def test_the_labels_of_an_unknown_last_layer_are_not_counted(
    source: Source, tmp_path: Path
) -> None:
    own = replace(source, architecture="nets:small")
    source.labels.write_text("a\nb\n")
    assert len(check_source(own, tmp_path, allowed_modules=["nets"]).card.labels) == 2


LAYER = LAST_LAYERS["resnet18"]
WEIGHT = torch.zeros(7, 8)
SAVED = {
    "plain": {f"{LAYER}.weight": WEIGHT},
    "compiled": {f"_orig_mod.{LAYER}.weight": WEIGHT},
    "parallel": {"state_dict": {f"module.{LAYER}.weight": WEIGHT}, "epoch": 3},
    "parameter": {f"{LAYER}.weight": nn.Parameter(WEIGHT)},
    "half": {"other.weight": torch.zeros(5, 8), f"{LAYER}.weight": WEIGHT.half()},
    "view": {f"{LAYER}.weight": torch.zeros(300, 8)[290:297]},
}


@pytest.mark.parametrize("name", SAVED)
def test_rows_are_counted_in_files_of_torch(tmp_path: Path, name: str) -> None:
    torch.save(SAVED[name], tmp_path / "w.pth")
    assert count_rows(tmp_path / "w.pth", LAYER) == {7}


@pytest.mark.parametrize("n_rows", [2, 255, 256, 1000, 70_000])
def test_rows_are_counted_whatever_their_number(tmp_path: Path, n_rows: int) -> None:
    weights = {f"{LAYER}.weight": torch.zeros(n_rows, 1)}
    torch.save(weights, tmp_path / "w.pt")
    save_file(weights, tmp_path / "w.safetensors")
    assert count_rows(tmp_path / "w.pt", LAYER) == {n_rows}
    assert count_rows(tmp_path / "w.safetensors", LAYER) == {n_rows}


def test_several_weights_of_a_name_are_all_counted(tmp_path: Path) -> None:
    saved = {"teacher": {f"{LAYER}.weight": torch.zeros(9, 8)}, "model": SAVED["plain"]}
    torch.save(saved, tmp_path / "w.pt")
    assert count_rows(tmp_path / "w.pt", LAYER) == {7, 9}


@pytest.mark.parametrize(
    "weights",
    [{"conv.weight": WEIGHT}, {f"{LAYER}.weight": torch.tensor(1.0)}, {f"{LAYER}.bias": WEIGHT}],
    ids=["other", "scalar", "bias"],
)
def test_what_is_not_there_is_not_counted(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "w.pt")
    save_file(weights, tmp_path / "w.safetensors")
    assert count_rows(tmp_path / "w.pt", LAYER) == set()
    assert count_rows(tmp_path / "w.safetensors", LAYER) == set()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x80\x02X\x09\x00\x00\x00fc.weight", b"\x80\x02X\xff\xff\xff\xff"],
)
@pytest.mark.parametrize("is_archive", [True, False])
def test_broken_pickles_are_left_to_torch(tmp_path: Path, content: bytes, is_archive: bool) -> None:
    path = tmp_path / "w.pt"
    if is_archive:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data.pkl", content)
    else:
        path.write_bytes(content)
    assert count_rows(path, LAYER) == set()


HEADERS = {
    "cut": struct.pack("<Q", 100) + b"{",
    "without end": struct.pack("<Q", 2**63) + b"{}",
    "deep": struct.pack("<Q", 10**6) + b'{"a":' * 200_000,
    "no object": struct.pack("<Q", 2) + b"[]",
    "of unknown types": struct.pack("<Q", 50)
    + b'{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,8'.ljust(48)
    + b"]}}",
    "empty": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_broken_headers_of_safetensors_are_one_sentence(
    source: Source, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(HEADERS[name])
    with pytest.raises(BundleError, match=r"w\.safetensors is not a safetensors file") as refused:
        check_source(replace(source, weights=path), tmp_path)
    assert "\n" not in refused.value.detail
