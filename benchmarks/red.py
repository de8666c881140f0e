"""Whether red speaks for the class: the score after the reddest pixels are blurred.

Run by `make red ARGS=folder`. For each image, the likeliest classes and pairs of them are explained
with each composite `epsilon_...` and each start; then the reddest tenth of the pixels is replaced
by a blur. The score is the logit of the class; of a pair, the difference of the logits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from benchmarks.attribution import machine
from service.methods import COMPOSITES, Start, make_method
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.runtime.jobs import ExplainJob, Explanation, Floats, Pixels
from service.settings import DEFAULT_MODEL

EPSILON_COMPOSITES = tuple(name for name in COMPOSITES if name.startswith("epsilon_"))
STARTS: tuple[Start, ...] = ("one_hot", "logit")
GOAL = 0.8  # share of cases in which the score falls, for either sign
N_CLASSES = 4  # the likeliest of each image
PAIRS = ((0, 1), (1, 0), (2, 3), (3, 2))  # target and contrast, by rank
REDDEST_SHARE = 0.1
BLUR_RADIUS = 3  # pixels: the standard deviation of a Gaussian blur
BATCH = 8
console = Console()


@dataclass(frozen=True)
class Outcome:
    """One image and class, or pair of classes, explained.

    Attributes
    ----------
    composite : str
        The composite.
    start : {"one_hot", "logit"}
        The output relevance.
    is_contrast : bool
        Whether a pair of classes was explained.
    score : float
        The logit of the class, or the difference of the logits.
    change : float
        Of the score, when the reddest pixels are blurred.
    correlation : float
        Of the map with the one of occlusion, over the pixels; NaN if one of them is constant.
    """

    composite: str
    start: Start
    is_contrast: bool
    score: float
    change: float
    correlation: float


@dataclass(frozen=True)
class Summary:
    """Outcomes of one composite, kind and sign of the score."""

    composite: str
    start: Start
    is_contrast: bool
    is_positive: bool
    n: int
    falls: float  # share of the cases in which the score falls
    change: float  # mean
    correlation: float  # mean

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Summary:
        """Summarize outcomes that are not empty."""
        first = outcomes[0]
        known = [one.correlation for one in outcomes if not math.isnan(one.correlation)]
        return cls(
            first.composite,
            first.start,
            first.is_contrast,
            first.score > 0,
            len(outcomes),
            fmean(one.change < 0 for one in outcomes),
            fmean(one.change for one in outcomes),
            fmean(known) if known else math.nan,
        )


@dataclass(frozen=True)
class _Question:
    """What is explained of each image: ranks of the target and of the contrast."""

    target: int
    contrast: int | None = None

    def score(self, ranked: Floats) -> Floats:
        """The score, shape (N,), of logits by rank, shape (N, classes)."""
        score: Floats = ranked[:, self.target]
        return score if self.contrast is None else score - ranked[:, self.contrast]


QUESTIONS = (*(_Question(rank) for rank in range(N_CLASSES)), *(_Question(*one) for one in PAIRS))


class Images:
    """Images with their predictions, blurred twins and occlusion maps.

    Parameters
    ----------
    engine : Engine
        Explains them.
    pixels : sequence of NDArray[uint8]
        Each of shape (H, W, 3), of the size that the network takes.
    """

    def __init__(self, engine: Engine, pixels: Sequence[Pixels]) -> None:
        self.engine, self.pixels = engine, list(pixels)
        logits = self._predict(self.pixels)
        self.order = np.argsort(-logits, axis=1, kind="stable")
        self.ranked = np.take_along_axis(logits, self.order, 1)
        self._blurred = [
            np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(BLUR_RADIUS)))
            for one in self.pixels
        ]
        self._occlusion = _maps(
            self._explain(
                [self._job(index, None, "occlusion", None, range(N_CLASSES)) for index in self._all]
            )
        )

    @property
    def _all(self) -> range:
        return range(len(self.pixels))

    def outcomes(self, composite: str, start: Start | None) -> Iterator[Outcome]:
        """Explain each image by a composite, and blur what is reddest; None: the default start."""
        for question in QUESTIONS:
            jobs = [
                self._job(index, composite, "gradient", start, [question.target], question.contrast)
                for index in self._all
            ]
            explanations = self._explain(jobs)
            maps = _maps(explanations)[:, 0]
            score = question.score(self.ranked)
            after = question.score(self._ranked_without_red(maps))
            expected = self._occlusion_of(question)
            for index in self._all:
                yield Outcome(
                    composite,
                    explanations[index].start,
                    question.contrast is not None,
                    float(score[index]),
                    float(after[index] - score[index]),
                    correlation(maps[index], expected[index]),
                )

    def _job(
        self,
        index: int,
        composite: str | None,
        attributor: str,
        start: Start | None,
        targets: Iterable[int],
        contrast: int | None = None,
    ) -> ExplainJob:
        classes = self.order[index].tolist()
        return ExplainJob(
            self.pixels[index],
            self.engine.card.name,
            make_method(composite, attributor, {}),
            tuple(classes[rank] for rank in targets),
            None if contrast is None else classes[contrast],
            start,
        )

    def _explain(self, jobs: Sequence[ExplainJob]) -> list[Explanation]:
        parts = [jobs[index : index + BATCH] for index in range(0, len(jobs), BATCH)]
        return [one for part in parts for one in self.engine.explain(part)]

    def _predict(self, pixels: Sequence[Pixels]) -> Floats:
        parts = [pixels[index : index + BATCH] for index in range(0, len(pixels), BATCH)]
        return np.stack([one.logits for part in parts for one in self.engine.predict(part)])

    def _ranked_without_red(self, maps: Floats) -> Floats:
        """Logits, in the order of the images' own ranks, without the reddest pixels."""
        covered = [
            np.where(reddest(one)[:, :, None], blurred, pixels)
            for one, blurred, pixels in zip(maps, self._blurred, self.pixels, strict=True)
        ]
        return np.take_along_axis(self._predict(covered), self.order, 1)

    def _occlusion_of(self, question: _Question) -> Floats:
        """Occlusion maps, shape (N, H, W): that of a difference is the difference of both."""
        maps: Floats = self._occlusion[:, question.target]
        return maps if question.contrast is None else maps - self._occlusion[:, question.contrast]


def _maps(explanations: Sequence[Explanation]) -> Floats:
    """Relevance, summed over the channels, of shape (N, targets, H, W)."""
    return np.stack([[a.relevance.sum(0) for a in one.attributions] for one in explanations])


def reddest(relevance: Floats) -> NDArray[np.bool_]:
    """Mask of the pixels with the highest relevance, shape (H, W)."""
    mask = np.zeros(relevance.size, dtype=bool)
    mask[np.argsort(-relevance.ravel(), kind="stable")[: round(relevance.size * REDDEST_SHARE)]] = 1
    return mask.reshape(relevance.shape)


def correlation(left: Floats, right: Floats) -> float:
    """Pearson's, over the pixels; NaN if a map is constant."""
    if left.std() == 0 or right.std() == 0:
        return math.nan
    return float(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def summarize(outcomes: Iterable[Outcome]) -> list[Summary]:
    """Summarize outcomes by composite, kind, sign and start."""
    groups: dict[tuple[str, bool, bool, Start], list[Outcome]] = {}
    for one in outcomes:
        key = (one.composite, one.is_contrast, one.score <= 0, one.start)
        groups.setdefault(key, []).append(one)
    return [Summary.of(groups[key]) for key in sorted(groups)]


def read_images(folder: Path, n: int) -> list[Pixels]:
    """Read `n` images of `folder/<class>/*`, JPEG or PNG, evenly over the classes.

    Raises
    ------
    SystemExit
        The folder has fewer.
    """
    paths = sorted(path for path in folder.glob("*/*") if path.suffix in {".jpg", ".png"})
    if len(paths) < n:
        raise SystemExit(f"{folder} has {len(paths)} images <class>/*, fewer than {n}")
    chosen = [paths[index * len(paths) // n] for index in range(n)]
    return [np.array(Image.open(path).convert("RGB")) for path in chosen]


def report(summaries: Sequence[Summary]) -> None:
    """Print the summaries as a table, and which of them miss the goals."""
    table = Table(
        "composite", "score", "start", "n", "it falls in", "mean change", "correlation",
        title=f"The reddest {REDDEST_SHARE:.0%} of the pixels blurred",
    )  # fmt: skip
    for one in summaries:
        what = "difference" if one.is_contrast else "logit"
        table.add_row(
            one.composite, f"{'positive' if one.is_positive else 'negative'} {what}", one.start,
            str(one.n), f"{one.falls:.1%}", f"{one.change:+.2f}", f"{one.correlation:+.2f}",
        )  # fmt: skip
    console.print(table)
    for one in summaries:
        if one.start == "logit" and (one.falls < GOAL or not one.correlation > 0):
            console.print(f"misses the goal: {one}")


def main(
    folder: Annotated[Path, typer.Argument(help="Test images of CIFAR-10: <class>/*.jpg")],
    n: Annotated[int, typer.Option(help="Number of images")] = 500,
    composite: Annotated[list[str], typer.Option(help="Only these")] = list(EPSILON_COMPOSITES),  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Write everything there as JSON")] = None,
) -> None:
    """Measure whether red speaks for the class."""
    torch.set_num_threads(1)  # nothing is timed
    engine = load_engines({DEFAULT_MODEL: find_bundle(DEFAULT_MODEL)}, "cpu")[DEFAULT_MODEL]
    images = Images(engine, read_images(folder, n))
    outcomes = [
        outcome
        for name in composite
        for start in STARTS
        for outcome in images.outcomes(name, start)
    ]
    summaries = summarize(outcomes)
    found: dict[str, Any] = {"machine": machine(), "images": n}
    found["summaries"] = [asdict(one) for one in summaries]
    report(summaries)
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
