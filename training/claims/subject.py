"""A network under examination, and its control: the same architecture with random weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from service.evaluation.explained import Maps, explain_maps
from service.methods import INPUT, Method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from training.augment import network_input

_AT_ONCE = 250


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, ready to predict and explain uint8 images of shape (N, 3, H, W)."""

    engine: Engine

    @classmethod
    def of(cls, bundle: Bundle) -> Subject:
        """Of a bundle, on the CPU."""
        return cls(Engine(bundle, torch.device("cpu")))

    def normalize(self, pixels: Tensor) -> Tensor:
        """The network's input."""
        card = self.engine.card
        return network_input(pixels, card.mean, card.std)

    def to_pixels(self, images: Tensor) -> Tensor:
        """The inverse of `normalize`, rounded to uint8."""
        card = self.engine.card
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
        return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of normalized images."""
        return torch.cat([self.engine.explainer.predict(part) for part in images.split(_AT_ONCE)])

    def predicted(self, pixels: Tensor) -> Tensor:
        """The predicted class of each image, int64 of shape (N,)."""
        return self.logits(self.normalize(pixels)).argmax(1)

    def explain(
        self, pixels: Tensor, targets: Tensor | None = None, layers: tuple[str, ...] = ()
    ) -> Maps:
        """Explain images with the default method; the predicted class if there are no targets."""
        method = Method(layers=layers)
        arrays = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
        return explain_maps(
            self.engine, arrays, method, None if targets is None else targets.numpy()
        )

    def spatial_layers(self) -> tuple[str, ...]:
        """Layers that every path crosses and whose maps have several pixels, from the input up."""
        recorded = self.engine.explainer.prepare(Method()).recorded_layers
        shapes = {layer.name: layer.shape for layer in self.engine.layers}
        wide = [name for name in recorded if name != INPUT and _has_pixels(shapes.get(name, ()))]
        return tuple(reversed(wide))


def untrained(bundle: Bundle, seed: int = 0) -> Bundle:
    """The same network with the random weights that its layers start from."""
    model = copy.deepcopy(bundle.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.apply(_reset)
    return Bundle(bundle.card, model)


def _has_pixels(shape: Sequence[int]) -> bool:
    """Whether it is (C, H, W) with a place for relevance to be in: an average of all has none."""
    return len(shape) == 3 and min(shape[1:]) > 1


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
