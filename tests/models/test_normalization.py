"""Normalization: pixels become what a network takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.models.normalization import normalize

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)


@pytest.mark.parametrize("n", [1, 3])
def test_it_scales_each_channel_and_puts_channels_before_rows(n: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 4, 5, 3), dtype=np.uint8)
    wanted = ((pixels / 255 - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2)
    found = normalize(torch.from_numpy(pixels), MEAN, STD)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_pixels_may_have_any_layout_and_statistics_may_be_tensors() -> None:
    pixels = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).to(torch.uint8).permute(0, 2, 3, 1)
    found = normalize(pixels, torch.tensor(MEAN), torch.tensor(STD))
    assert torch.equal(found, normalize(pixels.contiguous(), MEAN, STD))
    assert found.is_contiguous(memory_format=torch.channels_last)
