"""zennit called directly on a bundle's network, in a process of its own.

`POST /explain` with an image answers with the milliseconds of the attribution alone: decoding and
HTTP are not counted. The composite stays registered, which is the quickest way to use zennit.
"""

from __future__ import annotations

import io
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.canonizers import Canonizer, SequentialMergeBatchNorm
from zennit.composites import EpsilonPlusFlat
from zennit.torchvision import ResNetCanonizer

from service.models.bundles import read_bundle
from service.models.card import ModelCard
from service.models.normalization import normalize
from service.settings import load_settings


def make_attributor(model: nn.Module) -> Gradient:
    """Make the attributor of zennit's default composite, with the network's canonizer."""
    is_resnet = type(model).__name__ == "ResNet"
    canonizer: Canonizer = ResNetCanonizer() if is_resnet else SequentialMergeBatchNorm()
    return Gradient(model, EpsilonPlusFlat(epsilon=1e-6, canonizers=[canonizer]))


def load(content: bytes, card: ModelCard) -> Tensor:
    """Decode an image to float32 of shape (1, 3, H, W), as zennit's users do."""
    height, width = card.input_size
    picture = Image.open(io.BytesIO(content)).convert("RGB").resize((width, height))
    pixels = torch.from_numpy(np.array(picture))[None]
    return normalize(pixels, card.mean, card.std).contiguous()


def explain(attributor: Gradient, images: Tensor) -> Tensor:
    """Relevance of the predicted classes."""
    relevance: Tensor
    _, relevance = attributor(images, lambda out: torch.eye(out.shape[1])[out.argmax(1)])
    return relevance


def serve(folder: Path, port: int) -> None:
    """Answer requests, one after another."""
    bundle = read_bundle(folder, load_settings().architectures)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(b"ready")

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            images = load(content, bundle.card)
            began = time.perf_counter()
            explain(attributor, images)
            self._reply(f"{(time.perf_counter() - began) * 1e3}".encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            pass

        def _reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with make_attributor(bundle.model) as attributor:
        HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
