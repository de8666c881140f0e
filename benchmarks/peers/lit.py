"""LitServe with batching: zennit for a batch, and the service's own fast rendering."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import torch
from torch import Tensor

from benchmarks.peers.tutorial import Tutorial
from service.imaging.render import heatmap_png, own_bound
from service.imaging.render_options import RenderOptions


class ExplainApi(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """Explains images."""

    def setup(self, device: str) -> None:
        """Load the network."""
        self.tutorial = Tutorial()

    def decode_request(self, request: dict[str, str]) -> Tensor:
        """Decode an image in base64: LitServe reads JSON and forms, but no raw bodies."""
        return self.tutorial.load(base64.b64decode(request["image"]))

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Stack images into a batch."""
        return torch.stack(inputs)

    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Explain a batch."""
        return self.tutorial.attribute(images)

    def unbatch(self, output: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Split the results of a batch."""
        return list(zip(*output, strict=True))

    def encode_response(self, output: tuple[Tensor, Tensor]) -> dict[str, Any]:
        """The response of one image."""
        logits, relevance = output
        heatmap = relevance.sum(0).numpy()
        picture = heatmap_png(heatmap, RenderOptions(own_bound(heatmap), 256))
        return self.tutorial.describe(logits) | {"heatmap": base64.b64encode(picture).decode()}


if __name__ == "__main__":
    api = ExplainApi(max_batch_size=8, batch_timeout=0.002, api_path="/explain")
    server = litserve.LitServer(api, accelerator="cpu", healthcheck_path="/readyz")
    server.run(port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
