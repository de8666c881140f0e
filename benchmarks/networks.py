"""Larger networks through the service, beside zennit called directly: one client, 224 pixels.

Run by `make networks`. Both are processes in the default environment, and one of them is stopped
while the other has its turn. The networks have random weights.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks import torchvision_networks
from benchmarks.attribution import machine
from benchmarks.payloads import PHOTO
from benchmarks.servers import Server, lrpserve, started
from benchmarks.serving import spread
from service.models.architectures import build
from service.models.builtin import TORCHVISION
from service.models.bundles import write_bundle
from service.models.card import ImportedProvenance, ModelCard

GOAL = 1.8
N_CLASSES, SIDE = 1000, 224
_REQUESTS = 3  # of a turn
console = Console()


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each request of a network: through the service, and by zennit."""

    service_ms: list[float]
    zennit_ms: list[float]

    @property
    def ratio(self) -> float:
        """The median of zennit over the service's."""
        return median(self.zennit_ms) / median(self.service_ms)


def architecture_of(network: str) -> str:
    """The architecture as a bundle names it."""
    if network in torchvision_networks.NAMES:
        return f"{torchvision_networks.__name__}:{network}"
    return network


def make_bundle(network: str, folder: Path) -> None:
    """Write a bundle with random weights."""
    torch.manual_seed(0)
    architecture = architecture_of(network)
    model = build(architecture, N_CLASSES, (torchvision_networks.__name__,)).eval()
    provenance = ImportedProvenance(
        source="random", source_sha256="0" * 64, imported_at="2026-01-01T00:00:00Z", versions={}
    )
    card = ModelCard(
        name=network.replace("_", "-"),
        architecture=architecture,
        labels=tuple(str(index) for index in range(N_CLASSES)),
        input_size=(SIDE, SIDE),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        provenance=provenance,
        sha256="0" * 64,
    )
    write_bundle(folder, card, model)


def time_network(folder: Path, turns: int) -> Timing:
    """Time a bundle's network in turns; the first turn is not counted."""
    body = _photo()
    with ExitStack() as stack:
        servers = []
        for command in _commands(folder):
            server = stack.enter_context(started(*command))
            server.pause()
            servers.append(server)
        service, zennit = servers
        found = Timing([], [])
        for turn in range(turns + 1):
            service_ms = [taken for _, taken in _turn(service, body)]
            zennit_ms = [float(answer) for answer, _ in _turn(zennit, body)]
            if turn > 0:
                found.service_ms.extend(service_ms)
                found.zennit_ms.extend(zennit_ms)
    return found


def _commands(folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    return (
        lrpserve("serve", "--model", str(folder), "--port"),
        ("-m", "benchmarks.peers.direct", str(folder)),
    )


def _photo() -> bytes:
    buffer = io.BytesIO()
    Image.open(PHOTO).convert("RGB").resize((SIDE, SIDE)).save(buffer, "PNG")
    return buffer.getvalue()


def _turn(server: Server, body: bytes) -> Iterator[tuple[bytes, float]]:
    """Send the requests of a turn; yield each answer and its milliseconds."""
    with server.turn():
        for _ in range(_REQUESTS):
            request = urllib.request.Request(  # noqa: S310  our own
                f"{server.url}/explain", body, {"Content-Type": "image/png"}
            )
            began = time.perf_counter()
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  our own
                answer = response.read()
            yield answer, (time.perf_counter() - began) * 1e3


def main(
    networks: Annotated[list[str] | None, typer.Argument(help="Some networks only")] = None,
    turns: Annotated[int, typer.Option(help="Turns of three requests each")] = 5,
) -> None:
    """Measure larger networks through the service, beside zennit."""
    os.environ["LRPSERVE_ARCHITECTURES"] = torchvision_networks.__name__
    console.print(machine() | {"threads": "default"})
    table = Table("network", "service ms", "zennit ms", f"ratio (goal {GOAL})", "n", box=None)
    for network in networks or (*TORCHVISION, *torchvision_networks.NAMES):
        with tempfile.TemporaryDirectory() as folder:
            make_bundle(network, Path(folder))
            found = time_network(Path(folder), turns)
        times = (spread(found.service_ms), spread(found.zennit_ms))
        row = (network, *times, f"{found.ratio:.2f}", str(len(found.service_ms)))
        console.print(*row, sep=" | ")
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
