"""Masks of objects whose place is known, and the rule that rejects degenerate ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.claims.masks import GrabCut, MissingEvalError, dilate, find_masks

FAST = GrabCut(enlarge=4, n_iterations=2)


def images_with_discs(n: int = 3) -> tuple[Tensor, Tensor]:
    """Orange discs on noisy blue, and their masks."""
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    centres = torch.tensor([[16, 16], [13, 18], [18, 14]])[:n]
    masks = torch.stack([(rows - y) ** 2 + (columns - x) ** 2 < 81 for y, x in centres.tolist()])
    colors = torch.tensor([[230, 140, 30], [30, 60, 180]])
    pixels = colors[(~masks).long()].permute(0, 3, 1, 2)
    noise = torch.randint(-15, 16, pixels.shape, generator=torch.Generator().manual_seed(0))
    return (pixels + noise).clamp(0, 255).to(torch.uint8), masks


def overlap(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    return float((left & right).sum() / (left | right).sum())


def test_an_object_is_found(tmp_path: Path) -> None:
    pixels, masks = images_with_discs()
    found, is_sound = find_masks(pixels, FAST, tmp_path / "masks.npz")
    assert is_sound.all()
    for one, mask in zip(found, masks.numpy(), strict=True):
        assert overlap(one, mask) > 0.9


def test_masks_that_are_kept_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, _ = images_with_discs()
    calls: list[int] = []
    find = GrabCut.find

    def count(self: GrabCut, one: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(1)
        return find(self, one)

    monkeypatch.setattr(GrabCut, "find", count)
    path = tmp_path / "masks.npz"
    first, _ = find_masks(pixels[:2], FAST, path)
    more, _ = find_masks(pixels, FAST, path)
    assert len(calls) == 3
    np.testing.assert_array_equal(more[:2], first)
    find_masks(pixels.flip(0), FAST, path)  # other images have masks of their own
    assert len(calls) == 6


@pytest.mark.parametrize(
    ("rows", "columns", "is_sound"),
    [
        (slice(8, 24), slice(8, 24), True),
        (slice(15, 17), slice(8, 24), False),  # too small
        (slice(0, 32), slice(0, 30), False),  # nearly everything
        (slice(0, 0), slice(0, 0), False),  # nothing
    ],
)
def test_degenerate_masks_are_rejected(rows: slice, columns: slice, *, is_sound: bool) -> None:
    mask = np.zeros((32, 32), bool)
    mask[rows, columns] = True
    assert GrabCut().is_sound(mask) is is_sound


def test_masks_in_pieces_are_rejected() -> None:
    mask = np.zeros((32, 32), bool)
    mask[2:12, 2:12] = mask[20:30, 20:30] = True
    assert not GrabCut().is_sound(mask)


def test_a_mask_grows_in_every_direction() -> None:
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 4, 4] = True
    grown = dilate(mask, 2)
    assert grown[0, 2:7, 2:7].all()
    assert grown.sum() == 25


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingEvalError, match=r"lrpserve\[eval\]"):
        GrabCut().find(np.ones((4, 4, 3), np.uint8))
