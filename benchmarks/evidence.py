"""Our measures beside those of Quantus, in turns: milliseconds for an image, and the ratio.

Run by `python -m benchmarks.evidence FOLDER`, with test images of CIFAR-10 in FOLDER/<class>/. Both
get the same images, maps and settings, and as many passes through the network; Quantus takes
batches of 64, its default. The shipped network shows what a user waits for. A network that takes
next to no time shows what is left without it: the time of the measures themselves.
"""

from __future__ import annotations

import json
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from benchmarks.attribution import machine
from benchmarks.red import read_images
from service.evidence.complexity import complexity, sparseness
from service.evidence.correlation import faithfulness_correlation
from service.evidence.curves import is_predicted, perturbation_curve
from service.evidence.fills import FILLS, Fill, constant_fill
from service.evidence.localization import pointing_game, relevance_rank
from service.evidence.orders import most_relevant_first
from service.evidence.patches import PatchGrid
from service.evidence.sensitivity import sensitivity
from service.evidence.similarity import structural_similarity
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

SIDE, N_CLASSES = 32, 10
PERCENTAGES = range(1, 100, 2)  # Quantus' default
console = Console()
Run = Callable[[], Any]


@dataclass(frozen=True)
class Comparison:
    """A measure, ours and theirs.

    Attributes
    ----------
    network : str
        "MiniVGG"; "instant" for one that takes next to no time; "none" for measures of maps alone.
    ours_ms, theirs_ms : float
        For an image: medians over the turns.
    ratio, lowest, highest : float
        Theirs over ours: median, lowest and highest of the turns.
    """

    network: str
    measure: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    lowest: float
    highest: float


class Instant(nn.Module):
    """A linear network on 4x4 colours: its passes take microseconds."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(N_CLASSES, 48, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images of shape (N, 3, H, W)."""
        return nn.functional.avg_pool2d(images, 8).flatten(1) @ self.weights.T


class Gray(nn.Module):
    """A network for images of one channel: Quantus' ROAD takes no more."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images of shape (N, 1, H, W)."""
        logits: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits


class Cases:
    """The measures on images of a network, ours and theirs.

    Parameters
    ----------
    network : nn.Module
        Takes images of 3x32x32.
    images : Tensor
        Normalized, shape (N, 3, 32, 32).
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self.network, self.images = network.eval(), images
        with torch.no_grad():
            self.targets = network(images).argmax(1)
        self.relevance = input_times_gradient(network, images, self.targets)
        self.mask = torch.zeros(len(images), SIDE, SIDE, dtype=torch.bool)
        self.mask[:, 8:24, 8:24] = True

    def perturbing(self) -> Iterator[tuple[str, Run, Run]]:
        """Measures that pass many images through the network: name, ours, theirs."""
        quantus = _quantus()
        steps = range(SIDE**2 // 48, SIDE**2 + 1, SIDE**2 // 48)
        metric = quantus.PixelFlipping(features_in_step=64, perturb_baseline=0.0, **_PLAIN)
        yield "pixel flipping, 48 steps", lambda: self._curve(1, steps), self._theirs(metric)
        metric = quantus.RegionPerturbation(
            patch_size=4, regions_evaluation=64, perturb_baseline=0.0, **_PLAIN
        )
        yield "region perturbation, 4x4", lambda: self._curve(4, range(65)), self._theirs(metric)
        yield "ROAD, gray, 50 shares", self._road, self._theirs(quantus.ROAD(**_PLAIN), gray=True)
        metric = quantus.FaithfulnessCorrelation(
            subset_size=224, perturb_baseline=0.0, return_aggregate=False, **_PLAIN
        )
        yield "faithfulness correlation, 100 runs", self._correlation, self._theirs(metric)

    def explaining(self) -> Iterator[tuple[str, Run, Run]]:
        """Measures that explain other images or targets."""
        quantus = _quantus()
        metric = quantus.MaxSensitivity(nr_samples=10, return_aggregate=False, **_PLAIN)
        yield "max-sensitivity, 10 samples", self._sensitivity, self._theirs(metric)
        metric = quantus.RandomLogit(num_classes=N_CLASSES, return_aggregate=False, **_PLAIN)
        yield "random logit", self._random_logit, self._theirs(metric)

    def of_maps(self) -> Iterator[tuple[str, Run, Run]]:
        """Measures that need no network."""
        quantus = _quantus()
        absolute = _PLAIN | {"abs": True}
        maps, mask = self.relevance, self.mask
        yield "sparseness", lambda: sparseness(maps), self._theirs(quantus.Sparseness(**absolute))
        yield "complexity", lambda: complexity(maps), self._theirs(quantus.Complexity(**absolute))
        theirs = self._theirs(quantus.PointingGame(**_PLAIN))
        yield "pointing game", lambda: pointing_game(maps, mask), theirs
        theirs = self._theirs(quantus.RelevanceRankAccuracy(**_PLAIN))
        yield "relevance rank", lambda: relevance_rank(maps, mask), theirs

    def _theirs(self, metric: Any, *, gray: bool = False) -> Run:
        images = self.images[:, :1] if gray else self.images
        network = Gray(self.network).eval() if gray else self.network

        def run() -> Any:
            return metric(
                network, images.numpy(), self.targets.numpy(),
                self.relevance[:, None].numpy().copy(), s_batch=self.mask[:, None].numpy(),
                softmax=True, device="cpu", channel_first=True, explain_func=_explain_for_quantus,
            )  # fmt: skip

        return run

    def _curve(self, side: int, counts: range) -> Tensor:
        grid = PatchGrid(SIDE, SIDE, side)
        order = most_relevant_first(grid, self.relevance)
        return perturbation_curve(
            self.network, self.images, self.targets, grid, order, _BLACK, counts, torch.Generator()
        )

    def _road(self) -> Tensor:
        grid = PatchGrid(SIDE, SIDE, 1)
        order = most_relevant_first(grid, self.relevance)
        counts = [SIDE**2 * one // 100 for one in PERCENTAGES]
        return perturbation_curve(
            Gray(self.network), self.images[:, :1], self.targets, grid, order, FILLS["linear"],
            counts, torch.Generator(), score=is_predicted,
        )  # fmt: skip

    def _correlation(self) -> Tensor:
        return faithfulness_correlation(
            self.network, self.images, self.targets, self.relevance, PatchGrid(SIDE, SIDE, 1),
            _BLACK, torch.Generator(), n_hidden=224,
        )  # fmt: skip

    def _explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return input_times_gradient(self.network, images, targets)

    def _sensitivity(self) -> object:
        return sensitivity(self._explain, self.images, self.targets, torch.Generator())

    def _random_logit(self) -> Tensor:
        others = self._explain(self.images, (self.targets + 1) % N_CLASSES)
        return structural_similarity(self.relevance, others, 2.0)


_PLAIN = {"normalise": False, "abs": False, "disable_warnings": True}
_BLACK: Fill = constant_fill(0.0)


def _quantus() -> Any:
    """Quantus, of which only parts have types."""
    return import_module("quantus")


def input_times_gradient(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """A cheap explanation, the same for both: maps of shape (N, H, W)."""
    images = images.detach().clone().requires_grad_()
    scores = network(images).gather(1, targets[:, None])
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    return (gradient * images).sum(1).detach()


def _explain_for_quantus(model: Any, inputs: Any, targets: Any, **_: Any) -> NDArray[Any]:
    maps = input_times_gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets))
    return maps[:, None].numpy()


def compare(network: str, measure: str, ours: Run, theirs: Run, turns: int, n: int) -> Comparison:
    """Time both in turns, after one that does not count; `n` images."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(turns + 1):
        for name, run in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            run()
            if turn:
                times[name].append((time.perf_counter() - start) * 1000 / n)
    ratios = [their / our for our, their in zip(times["ours"], times["theirs"], strict=True)]
    return Comparison(
        network, measure, median(times["ours"]), median(times["theirs"]), median(ratios),
        min(ratios), max(ratios),
    )  # fmt: skip


def measure_all(images: Tensor, networks: Sequence[str], turns: int) -> Iterator[Comparison]:
    """Compare all measures on the images."""
    model = read_bundle(find_bundle(DEFAULT_MODEL)).model
    shipped, instant = Cases(model, images), Cases(Instant(), images)
    groups = {
        "MiniVGG": (*shipped.perturbing(), *shipped.explaining()),
        "instant": (*instant.perturbing(), *instant.explaining()),
        "none": tuple(shipped.of_maps()),
    }
    for network in networks:
        for measure, ours, theirs in groups[network]:
            yield compare(network, measure, ours, theirs, turns, len(images))


def main(
    folder: Annotated[Path, typer.Argument(help="Test images of CIFAR-10: <class>/*.jpg")],
    n: Annotated[int, typer.Option(help="Number of images")] = 32,
    turns: Annotated[int, typer.Option(help="Turns that count")] = 5,
    network: Annotated[list[str], typer.Option(help="MiniVGG, instant or none")] = [  # noqa: B006
        "MiniVGG",
        "instant",
        "none",
    ],
    threads: Annotated[int, typer.Option(help="Of torch, for both")] = 2,
    out: Annotated[Path | None, typer.Option(help="Write everything there as JSON")] = None,
) -> None:
    """Measure our measures beside those of Quantus."""
    warnings.simplefilter("ignore")  # Quantus warns of steps that change nothing
    torch.set_num_threads(threads)
    pixels = np.stack(read_images(folder, n))
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.47) / 0.25
    about = machine() | {"threads": str(threads), "quantus": version("quantus"), "n": str(n)}
    about |= {"turns": str(turns), "system": platform.system()}
    console.print(about)
    found = []
    for one in measure_all(images, network, turns):
        found.append(asdict(one))
        console.print(
            f"{one.network}, {one.measure}: ours {one.ours_ms:.3g} ms, Quantus {one.theirs_ms:.3g}"
            f" ms, ratio {one.ratio:.1f} ({one.lowest:.1f} to {one.highest:.1f})"
        )
    if out is not None:
        text = json.dumps({"about": about, "comparisons": found}, indent=1)
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
