"""How often evidence supports maps that are right, and maps that are broken on purpose.

Run by `make verdicts ARGS=folder`. The bounds of `service.evidence.verdict` were set with it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.attribution import machine
from benchmarks.red import read_images
from service.evidence.cost import N_STEPS
from service.evidence.findings import Findings
from service.evidence.live import Explained, measure
from service.evidence.verdict import Verdict, judge
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.passes import Passes, finish
from service.methods import COMPOSITES, DEFAULT_COMPOSITE, make_method
from service.models.normalization import normalize
from service.models.registry import find_bundle
from service.runtime.device import usable_threads
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.runtime.jobs import Pixels
from service.settings import DEFAULT_MODEL

BATCH = 8
console = Console()
Fault = Callable[[Tensor], Tensor]  # of relevance (N, C, H, W)


def shuffled(relevance: Tensor) -> Tensor:
    """The pixels of each map at random places, the same for each map."""
    places = torch.randperm(relevance[0, 0].numel(), generator=torch.Generator().manual_seed(1))
    return relevance.flatten(2)[:, :, places].view_as(relevance)


def noise(relevance: Tensor) -> Tensor:
    """A map that knows nothing: another one for each image of a batch."""
    drawn = torch.randn(relevance.shape, generator=torch.Generator().manual_seed(2))
    return drawn.to(relevance)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "none": lambda relevance: relevance,
        "inverted": torch.neg,
        "shuffled": shuffled,
        "noise": noise,
        "of another image": lambda relevance: relevance.roll(1, 0),
    }
)
RANKS: Mapping[str, int] = MappingProxyType({"predicted": 0, "runner-up": 1, "fifth": 4})


@dataclass(frozen=True)
class Row:
    """Verdicts on the maps of one kind.

    Attributes
    ----------
    shares : dict of str to float
        Of each verdict.
    separation : list of float
        Quantiles: 5%, 50% and 95%.
    """

    composite: str
    fault: str
    target: str
    n: int
    shares: dict[str, float]
    separation: list[float]

    @classmethod
    def of(cls, composite: str, fault: str, target: str, verdicts: Sequence[Verdict]) -> Row:
        """Summarize verdicts."""
        counts = Counter(one.name for one in verdicts)
        known = [one.separation for one in verdicts if one.separation is not None]
        shares: dict[str, float] = {
            name: count / len(verdicts) for name, count in sorted(counts.items())
        }
        quantiles = np.quantile(known, (0.05, 0.5, 0.95)).round(2).tolist()
        return cls(composite, fault, target, len(verdicts), shares, quantiles)


class Judge:
    """Judges the maps of images, true ones and broken ones; all share the random orders.

    Parameters
    ----------
    engine : Engine
        Explains them.
    composite : str
        How.
    faults : sequence of str
        Keys of `FAULTS`.
    targets : sequence of str
        Keys of `RANKS`.
    """

    def __init__(
        self, engine: Engine, composite: str, faults: Sequence[str], targets: Sequence[str]
    ) -> None:
        self.explainer, self.method = engine.explainer, make_method(composite, "gradient", {})
        self.composite, self.faults, self.targets = composite, faults, targets
        self._mean, self._std = torch.tensor(engine.card.mean), torch.tensor(engine.card.std)

    def rows(self, pixels: Sequence[Pixels]) -> Iterator[Row]:
        """Judge all maps; a row for each fault and target."""
        verdicts: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
        for first in range(0, len(pixels), BATCH):
            batch = torch.from_numpy(np.stack(pixels[first : first + BATCH]))
            for kind, found in self._judge(normalize(batch, self._mean, self._std)).items():
                verdicts[kind] += found
        for (fault, target), found in verdicts.items():
            yield Row.of(self.composite, fault, target, found)

    def _judge(self, images: Tensor) -> dict[tuple[str, str], list[Verdict]]:
        """The verdicts on a batch."""
        order = self.explainer.predict(images).argsort(dim=1, descending=True)
        is_logit = self.explainer.default_start(self.method) == "logit"
        predicted = OutputRelevance.predicted(len(images), is_logit=is_logit)
        starts = [replace(predicted, targets=order[:, RANKS[name]]) for name in self.targets]
        true = self.explainer.explain(images, starts, self.method)
        kinds = [(fault, n) for fault in self.faults for n in range(len(starts))]
        maps = replace(
            true,
            starts=[true.starts[n] for _, n in kinds],
            relevances=[FAULTS[fault](true.relevances[n]) for fault, n in kinds],
        )
        explained = Explained(
            *(images, maps, self.explainer.predict),
            lambda noisy, _: _unused(maps, len(noisy) // len(images)),
        )
        measured = finish(measure(explained))
        return {
            (fault, self.targets[n]): [
                judge(_findings(*one)) for one in zip(found.curves, found.has_order, strict=True)
            ]
            for (fault, n), found in zip(kinds, measured, strict=True)
        }


def _unused(maps: AttributionResult, n_copies: int) -> Passes[AttributionResult]:
    """In place of the maps of noisy copies, which no verdict depends on."""
    yield from ()
    relevances = [one.repeat(n_copies, 1, 1, 1) for one in maps.relevances]
    return replace(maps, relevances=relevances)


def _findings(curves: Tensor, has_order: Tensor) -> Findings:
    most, least, *random = (tuple(curve) for curve in curves.tolist())
    shares = tuple(step / N_STEPS for step in range(N_STEPS + 1))
    return Findings(0, shares, most, least, tuple(random), bool(has_order), (), 0)


def report(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    table = Table(
        "composite", "fault", "class", "n", "supported", "undecided", "not supported",
        "separation: 5%, 50%, 95%",
    )  # fmt: skip
    for one in rows:
        names = ("supported", "undecided", "not supported")
        shares = [f"{one.shares.get(name, 0):.0%}" for name in names]
        quantiles = ", ".join(f"{value:.1f}" for value in one.separation)
        table.add_row(one.composite, one.fault, one.target, str(one.n), *shares, quantiles)
    console.print(table)


def main(
    folder: Annotated[Path, typer.Argument(help="Test images of CIFAR-10: <class>/*.jpg")],
    n: Annotated[int, typer.Option(help="Number of images")] = 200,
    model: Annotated[str, typer.Option(help="Name of a model, or folder of a bundle")] = (
        DEFAULT_MODEL
    ),
    out: Annotated[Path | None, typer.Option(help="Write everything there as JSON")] = None,
) -> None:
    """Count the verdicts on true and on broken maps, of images of the model's size."""
    found = load_engines(
        *({model: find_bundle(model)}, "cpu"),
        n_sharing=usable_threads(),  # one thread: nothing is timed
        measures_batches=False,
    )
    engine, images = found[model], read_images(folder, n)
    judges = [Judge(engine, DEFAULT_COMPOSITE, list(FAULTS), list(RANKS))]
    others = [name for name in COMPOSITES if name != DEFAULT_COMPOSITE]
    judges += [Judge(engine, name, ["none"], ["predicted"]) for name in others]
    rows: list[Row] = []
    for one in judges:
        rows += one.rows(images)
        if out is not None:  # after each: the whole takes minutes
            content = {"machine": machine(), "rows": [asdict(row) for row in rows]}
            out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    report(rows)


if __name__ == "__main__":
    typer.run(main)
