"""Images whose classes are planted in an object and in the background, and networks that read one.

The object is a yellow square somewhere in the image with a spot that is red in images of the first
class and green in those of the second; the background is dark blue or bright blue.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.models.bundles import Bundle
from service.models.card import ModelCard
from training.claims.sample import Sample

SIDE, OBJECT_SIDE, SPOT_SIDE = 32, 16, 6
LABELS = ("first", "second")
_DARK, _BRIGHT = 60, 220


class Reader(nn.Module):
    """Looks at two colours, averages over the image, and has a logit for each."""

    def __init__(self, colors: Tensor, thresholds: Tensor) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, len(colors), 1)
        self.relu = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(len(colors), len(colors))
        with torch.no_grad():
            self.look.weight.copy_(colors[:, :, None, None])
            self.look.bias = nn.Parameter(-thresholds)
            self.head.weight.copy_(torch.eye(len(colors)) * 100)
            self.head.bias = nn.Parameter(torch.zeros(len(colors)))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits of images with values from 0 to 1."""
        logits: Tensor = self.head(self.flatten(self.mean(self.relu(self.look(images)))))
        return logits


def reads_objects() -> Reader:
    """Red, and green, each where there is none of the other: the spot of the object."""
    colors = torch.tensor([[1.0, -1.5, -1.0], [-1.5, 1.0, -1.0]])
    return Reader(colors, torch.zeros(2))


def reads_backgrounds() -> Reader:
    """Dark blue, and bright blue, each where nothing is red or green."""
    colors = torch.tensor([[-4.0, -4.0, -1.0], [-4.0, -4.0, 1.0]])
    return Reader(colors, torch.tensor([-0.55, 0.55]))


def bundle_of(model: nn.Module, card: ModelCard) -> Bundle:
    """A bundle with pixels from 0 to 1 as the network's input; the rest is of another card."""
    fields = {"labels": LABELS, "mean": (0.0,) * 3, "std": (1.0,) * 3, "name": "planted"}
    return Bundle(card.model_copy(update=fields), model.eval())


def planted_sample(n: int = 40, seed: int = 0) -> Sample:
    """Images whose object and background are of one class, with exact masks."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    pixels = torch.zeros(n, 3, SIDE, SIDE)
    masks = torch.zeros(n, SIDE, SIDE, dtype=torch.bool)
    corners = torch.randint(0, SIDE - OBJECT_SIDE + 1, (n, 2), generator=generator)
    spots = torch.randint(0, OBJECT_SIDE - SPOT_SIDE + 1, (n, 2), generator=generator)
    for index, ((top, left), (down, right)) in enumerate(zip(corners, spots, strict=True)):
        image, label = pixels[index], int(labels[index])
        image[2] = _BRIGHT if label else _DARK
        masks[index, top : top + OBJECT_SIDE, left : left + OBJECT_SIDE] = True
        image[:, masks[index]] = torch.tensor([110.0, 110.0, 0.0])[:, None]
        first, second = int(top + down), int(left + right)
        spot = image[:, first : first + SPOT_SIDE, second : second + SPOT_SIDE]
        spot[:] = 0
        spot[label] = 230
    noise = torch.randint(-12, 13, pixels.shape, generator=generator)
    shown = (pixels + noise * (pixels > 0)).clamp(0, 255).to(torch.uint8)
    return Sample(shown, labels, torch.arange(n), masks, 0)
