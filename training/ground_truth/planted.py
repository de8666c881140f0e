"""Networks with planted weights: what they look at is known, whatever they were trained on.

Each has a question with images of its own. The networks look at squares of `PATCH_PX` pixels that
do not overlap, so that their relevance can be written down for every rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.models.bundles import Bundle
from service.models.card import ImportedProvenance, ModelCard
from training.ground_truth.questions import Question
from training.ground_truth.scenes import SIZE
from training.ground_truth.textures import Pixels, backgrounds

PATCH_PX = 4
_GRID = SIZE // PATCH_PX
_N_CLASSES = 5
_CORNER_PX = 2 * PATCH_PX  # the side of the corner that is read
_MEAN, _STD = 0.5, 0.25  # of the networks' input
_AMPLITUDE = 1.0  # of a planted pattern, in the network's input
_NO_HASH = "0" * 64  # there is no file
_NOISE = 0.3  # the largest value of the background of a planted pattern, likewise


class PatchNetwork(nn.Module):
    """A convolution whose windows do not overlap, a ReLU, and a linear layer.

    Parameters
    ----------
    n_features : int
        Channels of the convolution.
    num_classes : int
        The number of logits.
    """

    def __init__(self, n_features: int, num_classes: int = _N_CLASSES) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, n_features, PATCH_PX, PATCH_PX), nn.ReLU())
        n_inputs = n_features * _GRID**2
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (N, num_classes), of normalized images, shape (N, 3, SIZE, SIZE)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits

    @property
    def convolution(self) -> nn.Conv2d:
        """The first layer."""
        return cast("nn.Conv2d", self.features[0])

    @property
    def linear(self) -> nn.Linear:
        """The last layer."""
        return cast("nn.Linear", self.classifier[1])


def random_patch_network(seed: int, n_features: int = 6) -> PatchNetwork:
    """A network with random weights and biases that reads the whole image."""
    torch.manual_seed(seed)
    return PatchNetwork(n_features).eval().requires_grad_(False)


def corner_reader(seed: int) -> PatchNetwork:
    """A network whose logits depend on the upper left corner and on nothing else."""
    network = random_patch_network(seed)
    weight = network.linear.weight.view(_N_CLASSES, -1, _GRID, _GRID)
    n_patches = _CORNER_PX // PATCH_PX
    weight[:, :, n_patches:] = 0
    weight[:, :, :, n_patches:] = 0
    return network


def linear_corner_reader(seed: int) -> nn.Sequential:
    """As `corner_reader`, but one linear layer on the pixels."""
    torch.manual_seed(seed)
    linear = nn.Linear(3 * SIZE**2, _N_CLASSES)
    network = nn.Sequential(nn.Flatten(), linear).eval().requires_grad_(False)
    weight = linear.weight.view(_N_CLASSES, 3, SIZE, SIZE)
    weight[:, :, _CORNER_PX:] = 0
    weight[:, :, :, _CORNER_PX:] = 0
    return network


def detector(seed: int) -> PatchNetwork:
    """A network whose logit of a class is how strongly its pattern is found, anywhere."""
    network = random_patch_network(seed, n_features=_N_CLASSES)
    convolution, linear = network.convolution, network.linear
    patterns = torch.from_numpy(_patterns(seed)).float()
    filters = patterns.permute(0, 3, 1, 2) / patterns[0].numel()
    threshold = torch.full((len(filters),), -_AMPLITUDE / 2)  # what matches by half is not found
    convolution.load_state_dict({"weight": filters, "bias": threshold})
    linear.weight.copy_(torch.eye(_N_CLASSES).repeat_interleave(_GRID**2, 1))
    linear.bias.zero_()
    return network


def ask_corner(seed: int, n: int) -> tuple[Pixels, list[Question]]:
    """Textures; the relevance of any class lies in the corner."""
    rng = np.random.default_rng(seed)
    corner = np.zeros((n, SIZE, SIZE), np.bool_)
    corner[:, :_CORNER_PX, :_CORNER_PX] = True
    targets = rng.integers(_N_CLASSES, size=n)
    return backgrounds(n, SIZE, rng), [Question("class", targets, None, corner, None)]


def ask_detector(seed: int, n: int) -> tuple[Pixels, list[Question]]:
    """Faint noise with the patterns of two classes; the relevance of each lies on its own."""
    rng = np.random.default_rng(seed)
    first = rng.integers(_N_CLASSES, size=n)
    second = (first + rng.integers(1, _N_CLASSES, n)) % _N_CLASSES
    places = rng.permuted(np.tile(np.arange(_GRID**2), (n, 1)), axis=1)[:, :2]
    values = rng.uniform(-_NOISE, _NOISE, (n, _GRID, PATCH_PX, _GRID, PATCH_PX, 3))
    masks = np.zeros((2, n, _GRID, PATCH_PX, _GRID, PATCH_PX), np.bool_)
    patterns, rows = _patterns(seed), np.arange(n)
    for index, shown in enumerate((first, second)):
        row, column = np.divmod(places[:, index], _GRID)
        values[rows, row, :, column] = _AMPLITUDE * patterns[shown]
        masks[index, rows, row, :, column] = True
    pixels = np.rint(255 * (_MEAN + _STD * values)).astype(np.uint8).reshape(n, SIZE, SIZE, 3)
    on_first, on_second = masks.reshape(2, n, SIZE, SIZE)
    return pixels, [
        Question("class", first, None, on_first, None),
        Question("contrast", first, second, on_first, on_second),
    ]


Planted = tuple[
    Callable[[int], nn.Module], Callable[[int, int], tuple[Pixels, list[Question]]]
]  # makes the network of a seed; the images and questions of a seed and a number
PLANTED: Mapping[str, Planted] = MappingProxyType(
    {
        "corner": (corner_reader, ask_corner),
        "linear": (linear_corner_reader, ask_corner),
        "detector": (detector, ask_detector),
    }
)


def planted_bundle(name: str, seed: int) -> Bundle:
    """A planted network as a bundle, which is not written anywhere."""
    make, _ = PLANTED[name]
    card = ModelCard(
        name=f"planted-{name}",
        architecture=f"{__name__}:{make.__name__}",
        labels=tuple(f"class-{index}" for index in range(_N_CLASSES)),
        input_size=(SIZE, SIZE),
        mean=(_MEAN,) * 3,
        std=(_STD,) * 3,
        provenance=ImportedProvenance(
            source=f"{make.__name__}-{seed}",
            source_sha256=_NO_HASH,
            data="none: the weights are planted",
            imported_at="",
            versions={},
        ),
        sha256=_NO_HASH,
    )
    return Bundle(card, make(seed))


def _patterns(seed: int) -> NDArray[np.float64]:
    """A pattern of -1 and 1 for each class, half of each, shape (classes, side, side, 3)."""
    rng = np.random.default_rng((seed, _N_CLASSES))
    signs = np.tile(np.repeat([-1.0, 1.0], 3 * PATCH_PX**2 // 2), (_N_CLASSES, 1))
    return rng.permuted(signs, axis=1).reshape(_N_CLASSES, PATCH_PX, PATCH_PX, 3)
