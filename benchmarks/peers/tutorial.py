"""The work of a tutorial for an image: one zennit context and one matplotlib figure."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch import Tensor
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlusFlat

from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

mpl.use("Agg")


class Tutorial:
    """The shipped network, explained as in the tutorial. Not thread-safe."""

    def __init__(self) -> None:
        bundle = read_bundle(find_bundle(DEFAULT_MODEL), ())
        self.card, self.model = bundle.card, bundle.model.eval()
        self.mean = torch.tensor(self.card.mean).view(3, 1, 1)
        self.std = torch.tensor(self.card.std).view(3, 1, 1)

    def load(self, content: bytes) -> Tensor:
        """Decode an image; returns float32 of shape (3, H, W), as the network takes it."""
        height, width = self.card.input_size
        picture = Image.open(io.BytesIO(content)).convert("RGB").resize((width, height))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std

    def attribute(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the relevance of the predicted class, of a batch of shape (N, 3, H, W)."""
        with Gradient(model=self.model, composite=EpsilonPlusFlat(epsilon=1e-6)) as attributor:
            logits, relevance = attributor(
                images, lambda out: torch.eye(out.shape[1])[out.argmax(1)]
            )
        return logits.detach(), relevance

    def explain(self, content: bytes, *, has_relevance: bool = False) -> dict[str, Any]:
        """The response to a request."""
        logits, relevance = self.attribute(self.load(content)[None])
        heatmap = relevance[0].sum(0).numpy()
        answer = self.describe(logits[0]) | {"heatmap": draw(heatmap)}
        return answer | {"relevance": heatmap.tolist()} if has_relevance else answer

    def describe(self, logits: Tensor) -> dict[str, Any]:
        """The five best classes."""
        values = logits.softmax(0).tolist()
        pairs = zip(self.card.labels, values, strict=True)
        best = sorted(pairs, key=lambda pair: -pair[1])[:5]
        return {"predictions": [{"label": label, "probability": value} for label, value in best]}


def draw(heatmap: Any) -> str:
    """A heatmap as a figure: a PNG in base64."""
    bound = float(abs(heatmap).max()) or 1.0
    figure, axes = plt.subplots()
    axes.imshow(heatmap, cmap="bwr", vmin=-bound, vmax=bound)
    axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
