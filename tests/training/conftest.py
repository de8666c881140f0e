"""What tests of training share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.models.card import ModelCard
from training.data import DataSet, Split


@pytest.fixture(scope="session")
def sample_data(samples: list[Path], card: ModelCard) -> DataSet:
    """The 200 samples as a data set."""
    images = np.stack([np.asarray(Image.open(path)) for path in samples])
    labels = [card.labels.index(path.parent.name) for path in samples]
    split = Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels))
    return DataSet(split, split, card.labels, "samples")
