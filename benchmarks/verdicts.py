"""How often evidence supports maps that are right, and maps that are broken on purpose.

Run by `make verdicts ARGS=folder`. The bounds of `service.evidence.verdict` were set with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.attribution import machine
from benchmarks.red import read_images
from service.evidence.verdict import Verdict, judge
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.passes import Passes
from service.methods import COMPOSITES, DEFAULT_COMPOSITE, make_method
from service.models.registry import find_bundle
from service.runtime.device import usable_threads
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.runtime.jobs import ExplainJob, Pixels
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
        shares = {name: count / len(verdicts) for name, count in sorted(counts.items())}
        quantiles = np.quantile(known, (0.05, 0.5, 0.95)).round(2).tolist()
        return cls(composite, fault, target, len(verdicts), shares, quantiles)


@contextmanager
def broken(engine: Engine, fault: Fault) -> Iterator[None]:
    """Break the relevance of an engine, of images and of their noisy copies."""
    explain = engine.explainer.explain_in_passes

    def explain_wrongly(*args: Any) -> Passes[AttributionResult]:
        result = yield from explain(*args)
        return replace(result, relevances=[fault(one) for one in result.relevances])

    engine.explainer.explain_in_passes = explain_wrongly  # type: ignore[method-assign]
    try:
        yield
    finally:
        del engine.explainer.explain_in_passes


def verdicts(
    engine: Engine, images: Sequence[Pixels], composite: str, rank: int
) -> Iterator[Verdict]:
    """Judge the map of the class of a rank for each image."""
    method = make_method(composite, "gradient", {})
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        ranked = [one.logits.argsort()[::-1] for one in engine.predict(part)]
        jobs = [
            ExplainJob(pixels, engine.card.name, method, (int(order[rank]),), has_evidence=True)
            for pixels, order in zip(part, ranked, strict=True)
        ]
        for explanation in engine.explain(jobs):
            findings = explanation.attributions[0].findings
            assert findings is not None  # noqa: S101  the jobs ask for them
            yield judge(findings)


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
    first: Annotated[int, typer.Option(help="The first row of the table")] = 0,
    last: Annotated[int | None, typer.Option(help="The row after the last one")] = None,
    out: Annotated[Path | None, typer.Option(help="Write everything there as JSON")] = None,
) -> None:
    """Count the verdicts on true and on broken maps."""
    found = load_engines(
        *({DEFAULT_MODEL: find_bundle(DEFAULT_MODEL)}, "cpu"),
        n_sharing=usable_threads(),  # one thread: nothing is timed
        measures_batches=False,
    )
    engine, images = found[DEFAULT_MODEL], read_images(folder, n)
    cases = [(DEFAULT_COMPOSITE, fault, target) for fault in FAULTS for target in RANKS]
    cases += [(name, "none", "predicted") for name in COMPOSITES if name != DEFAULT_COMPOSITE]
    rows: list[Row] = []
    for composite, fault, target in cases[first:last]:
        with broken(engine, FAULTS[fault]):
            judged = list(verdicts(engine, images, composite, RANKS[target]))
        rows.append(Row.of(composite, fault, target, judged))
        if out is not None:  # after each: the whole takes minutes
            content = {"machine": machine(), "rows": [asdict(one) for one in rows]}
            out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    report(rows)


if __name__ == "__main__":
    typer.run(main)
