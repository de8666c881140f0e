"""Baselines: noise of each image's own, edges where they are, a Gaussian in the middle."""

from __future__ import annotations

import pytest
import torch

from service.evidence.baselines import BASELINES, edge_maps, gaussian_maps, random_maps
from tests.evidence.linear_model import bright_images


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_map_depends_on_its_own_image_only(name: str, channels: int) -> None:
    images = bright_images(4, channels, 6, 9)
    maps = BASELINES[name](images)
    assert maps.shape == (4, 6, 9)
    alone = torch.cat([BASELINES[name](image[None]) for image in images])
    torch.testing.assert_close(maps, alone)
    assert len(BASELINES[name](images[:0])) == 0


def test_noise_differs_between_images_and_seeds() -> None:
    images = bright_images(2, 3, 16, 16)
    maps = random_maps(images)
    assert torch.equal(maps, random_maps(images))
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps, random_maps(images, seed=1))
    assert float(maps.mean()) == pytest.approx(0.5, abs=0.05)


def test_edges_are_where_colours_change_and_not_at_the_rim() -> None:
    images = torch.zeros(1, 3, 6, 8)
    images[..., 4:] = 1
    wanted = torch.zeros(6, 8)
    wanted[:, 3:5] = 0.5  # half of the step on each side
    torch.testing.assert_close(edge_maps(images)[0], wanted)
    assert torch.equal(edge_maps(images.mT)[0], wanted.T)


def test_the_gaussian_is_highest_in_the_middle_and_as_wide_as_the_image() -> None:
    wide = gaussian_maps(torch.zeros(1, 1, 5, 9))[0]
    assert int(wide.argmax()) == 2 * 9 + 4
    torch.testing.assert_close(wide, wide.flip(0))
    torch.testing.assert_close(wide, wide.flip(1))
    # at one standard deviation, a quarter of the side from the middle
    finer = gaussian_maps(torch.zeros(1, 1, 401, 801))[0]
    assert float(finer[200, 600]) == pytest.approx(0.607, abs=2e-3)
    assert float(finer[300, 400]) == pytest.approx(0.607, abs=2e-3)
