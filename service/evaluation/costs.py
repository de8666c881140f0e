"""How long a comparison of methods takes, estimated first, and what of it fits into a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from service.evaluation.candidates import Candidate
from service.evaluation.explained import explain_maps
from service.evaluation.perturbed import PerturbedSet, Setting, normalized, predict_fn
from service.evidence.baselines import BASELINES
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels

MIN_IMAGES = 50  # with fewer, next to nothing is significant
_N_TRIED = 8
_LONG_S = 0.25  # what takes longer for one image is not tried with several
_VERY_LONG_S = 2.0  # nor a second time


@dataclass(frozen=True)
class Costs:
    """Seconds for an image.

    Attributes
    ----------
    curves_s : float
        Both curves of a map.
    explain_s : dict of str to float
        The map of each candidate.
    """

    curves_s: float
    explain_s: dict[str, float]

    def method_s(self, name: str) -> float:
        """The map of a candidate, and its curves."""
        return self.explain_s[name] + self.curves_s

    def total_s(self, names: Sequence[str]) -> float:
        """Candidates and all baselines."""
        return sum(map(self.method_s, names)) + len(BASELINES) * self.curves_s


@dataclass(frozen=True)
class Plan:
    """What fits into a time.

    Attributes
    ----------
    n_images : int
        Images for each method.
    candidates : tuple of Candidate
        The methods that are compared.
    left_out : tuple of Candidate
        Those that take too long.
    costs : Costs
        As they were measured.
    """

    n_images: int
    candidates: tuple[Candidate, ...]
    left_out: tuple[Candidate, ...]
    costs: Costs

    @property
    def seconds(self) -> float:
        """How long it will take."""
        return self.n_images * self.costs.total_s([one.name for one in self.candidates])


def measure_costs(
    engine: Engine, pixels: Pixels, candidates: Sequence[Candidate], setting: Setting
) -> Costs:
    """Time each method on one image, or on a few where that is quick."""
    explain_s = {}
    for one in candidates:

        def explain(images: Pixels, one: Candidate = one) -> object:
            return explain_maps(engine, images, one.method, start=one.start)

        explain_s[one.name] = _time_per_image(explain, pixels)
    predict = predict_fn(engine)

    def draw_curves(images: Pixels) -> object:
        tensors = normalized(engine, images)
        targets = torch.zeros(len(images), dtype=torch.int64, device=tensors.device)
        perturbed = PerturbedSet(predict, tensors, targets, setting)
        return perturbed.curves(torch.rand(len(images), *tensors.shape[2:]))

    return Costs(_time_per_image(draw_curves, pixels), explain_s)


def make_plan(candidates: Sequence[Candidate], costs: Costs, n_images: int, limit_s: float) -> Plan:
    """Fit a comparison into a time: with fewer images, and then without the dearest methods.

    Parameters
    ----------
    candidates : sequence of Candidate
        What is to be compared; the first one stays.
    costs : Costs
        Of each.
    n_images : int
        How many there are; no fewer than `MIN_IMAGES` of them are taken for lack of time.
    limit_s : float
        Seconds.
    """
    first, *others = candidates
    kept = [first, *sorted(others, key=lambda one: costs.explain_s[one.name])]
    fewest = min(n_images, MIN_IMAGES)
    while len(kept) > 1 and fewest * costs.total_s([one.name for one in kept]) > limit_s:
        kept.pop()
    fitting = int(limit_s / costs.total_s([one.name for one in kept]))
    names = {one.name for one in kept}
    return Plan(
        max(fewest, min(n_images, fitting)),
        tuple(one for one in candidates if one.name in names),
        tuple(one for one in candidates if one.name not in names),
        costs,
    )


def _time_per_image(run: Callable[[Pixels], object], pixels: Pixels) -> float:
    first_s = _time(run, pixels[:1])  # prepares the method too
    if first_s > _VERY_LONG_S:
        return first_s
    seconds = _time(run, pixels[:1])
    if seconds > _LONG_S or len(pixels) < _N_TRIED:
        return seconds
    return _time(run, pixels[:_N_TRIED]) / _N_TRIED


def _time(run: Callable[[Pixels], object], pixels: Pixels) -> float:
    began_s = time.perf_counter()
    run(pixels)
    return time.perf_counter() - began_s
