"""Compare the response of a running service with that of the service in .venv.

Usage: .venv/bin/python .ci/compare.py http://HOST:PORT
"""

from __future__ import annotations

import base64
import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PATIENCE_S = 120
# the same wheels on the same processor; on others the order of sums may differ
TOLERANCE = 1e-5


def main(url: str) -> None:
    """Compare the service at `url` with a service that is started here."""
    image = sample_image()
    there = explain(url, image)
    with local_service() as local_url:
        here = explain(local_url, image)
    for part in ("model_sha256", "method", "image"):
        require(there[part] == here[part], f"{part}: {there[part]} there, {here[part]} here")
    there_scores, here_scores = scores(there), scores(here)
    require(
        [row[:2] for row in there_scores] == [row[:2] for row in here_scores],
        f"classes: {there_scores} there, {here_scores} here",
    )
    np.testing.assert_allclose(
        [row[2:] for row in there_scores], [row[2:] for row in here_scores], rtol=TOLERANCE
    )
    difference = np.abs(relevance(there) - relevance(here)).max() / np.abs(relevance(here)).max()
    require(difference <= TOLERANCE, f"relevance differs by {difference:.1e} of its maximum")
    label, probability = there["target"]["label"], there["target"]["probability"]
    print(
        f"same response there and here: {label}, {probability:.2%}; "
        f"relevance differs by {difference:.1e} of its maximum"
    )


def sample_image() -> bytes:
    """Make an image with edges, colours and noise, neither square nor of the network's size."""
    y, x = np.mgrid[0:96, 0:128]
    red = 255 * ((x - 70) ** 2 + (y - 40) ** 2 < 900)
    pixels = np.stack([red, 2 * x, 255 - 2 * y], axis=-1) * 0.9
    pixels += np.random.default_rng(0).normal(0, 8, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def local_service() -> Iterator[str]:
    """Run the service of this virtual environment on a free port, on the CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("lrpserve")
    process = subprocess.Popen([program, "serve", "--port", str(port), "--device", "cpu"])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def explain(url: str, image: bytes) -> dict[str, Any]:
    """Wait until a service is ready, and request the relevance of an image."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        wait_until_ready(client)
        response = client.post("/explain", files={"image": image}, data={"output": "relevance"})
    require(response.status_code == 200, f"{url}/explain: {response.status_code} {response.text}")
    content: dict[str, Any] = response.json()
    return content


def wait_until_ready(client: httpx.Client) -> None:
    """Poll `/readyz`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.5)
    sys.exit(f"error: {client.base_url} was not ready within {PATIENCE_S} s")


def scores(content: dict[str, Any]) -> list[list[Any]]:
    """Each predicted class, the target first: index, label, probability, logit."""
    rows = [content["target"], *content["predictions"]]
    return [[row[key] for key in ("index", "label", "probability", "logit")] for row in rows]


def relevance(content: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Decode the relevance."""
    field = content["relevance"]
    return np.frombuffer(base64.b64decode(field["data"]), "<f4").reshape(field["shape"])


def require(is_met: bool, complaint: str) -> None:
    """End with an error if a condition is not met."""
    if not is_met:
        sys.exit(f"error: {complaint}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
