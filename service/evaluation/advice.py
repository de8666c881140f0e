"""Which method to use for a network: the cheap part of faithfulness, for all that fit.

What decides is the symmetric relevance gain (`Curves.gap`): the area between the curves of the
target's probability with the least and with the most relevant patches hidden first. The fall with
the most relevant ones alone (MoRF) would rank any map high that scatters what it hides over the
image, random ones before all: it measures how far hiding harms the network, not where. That harm
is in both curves, and cancels in the gap, for which a map without information has 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.errors import join_names
from service.evaluation.candidates import Candidate
from service.evaluation.comparison import Comparison, compare
from service.evaluation.costs import Plan
from service.evaluation.explained import explain_maps
from service.evaluation.perturbed import DECISIVE, Curves, Setting, normalized, perturb
from service.evidence.baselines import BASELINES
from service.methods import DEFAULT_ATTRIBUTOR
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels

ProgressFn = Callable[[str, float], object]  # a method, and the seconds that were planned for it
RANDOM = "random"


@dataclass(frozen=True, eq=False)
class Trial:
    """All methods on the same images.

    Attributes
    ----------
    curves : dict of str to Curves
        Of each method, and of each baseline.
    comparison : Comparison
        By the gap of the curves.
    setting : Setting
        How the images were perturbed.
    """

    curves: dict[str, Curves]
    comparison: Comparison
    setting: Setting


@dataclass(frozen=True)
class Advice:
    """What to set.

    Attributes
    ----------
    composite : str or None
        The composite to set; None where none is better than a random map, or than the attributor
        that is the model's default.
    sentences : tuple of str
        Why, and what else is known.
    """

    composite: str | None
    sentences: tuple[str, ...]


def try_methods(
    engine: Engine,
    pixels: Pixels,
    plan: Plan,
    setting: Setting = DECISIVE,
    progress: ProgressFn | None = None,
) -> Trial:
    """Compare the methods of a plan on images, uint8 of shape (N, H, W, 3).

    The predicted class of each image is explained.
    """
    logits = explain_maps(engine, pixels, plan.candidates[0].method).logits
    perturbed = perturb(engine, pixels, logits.argmax(1), setting)
    curves: dict[str, Curves] = {}

    def add(name: str, relevance: Tensor, seconds: float) -> None:
        curves[name] = perturbed.curves(relevance)
        if progress:
            progress(name, seconds * len(pixels))

    for one in plan.candidates:
        maps = explain_maps(engine, pixels, one.method, start=one.start)
        add(one.name, torch.from_numpy(maps.relevance), plan.costs.method_s(one.name))
    for name, baseline in BASELINES.items():
        add(name, baseline(normalized(engine, pixels)).cpu(), plan.costs.curves_s)
    return Trial(curves, compare({name: one.gap for name, one in curves.items()}), setting)


def advise(comparison: Comparison, candidates: Sequence[Candidate], present: str) -> Advice:
    """Say which composite to set.

    A method other than the present one is recommended only if it is significantly better.

    Parameters
    ----------
    comparison : Comparison
        Of the candidates, and of the baselines.
    candidates : sequence of Candidate
        Of which those of one pass can be set.
    present : str
        Name of the candidate that is the model's default now; one of those that were compared.
    """
    composites = {one.name for one in candidates if one.method.attributor == DEFAULT_ATTRIBUTOR}
    ranked = [name for name in comparison.names if name in composites]
    best = ranked[0]
    if not comparison.is_better(best, RANDOM):
        return Advice(
            None,
            (
                f"No composite is significantly better than a random map on these "
                f"{comparison.n} images: none is recommended; give more images, or doubt "
                "that this network looks at single places.",
            ),
        )
    if present not in composites and not comparison.is_better(best, present):
        return Advice(
            None,
            (
                f"No composite is significantly better than {present}, the model's default now: "
                "keep it.",
            ),
        )
    is_kept = present in composites and not comparison.is_better(best, present)
    chosen = present if is_kept else best
    sentences = [_choice(comparison, ranked, chosen, present)]
    sentences += _equals(comparison, ranked, chosen)
    sentences += _attributors(comparison, candidates, chosen)
    sentences += _baselines(comparison, chosen)
    return Advice(chosen, tuple(sentences))


def _choice(comparison: Comparison, ranked: Sequence[str], chosen: str, present: str) -> str:
    best = ranked[0]
    if all(not comparison.is_better(best, other) for other in ranked[1:]) and len(ranked) > 1:
        return f"There is no significant difference between the composites: keep {chosen}."
    if chosen != best:
        return f"{best} has the largest gap, but is not significantly better: keep {chosen}."
    if chosen == present:
        return f"{chosen}, the model's default now, has the largest gap: keep it."
    if comparison.is_better(chosen, present):
        return f"{chosen} is significantly better than {present}, the model's default now."
    return f"{chosen} has the largest gap of the composites."


def _equals(comparison: Comparison, ranked: Sequence[str], chosen: str) -> list[str]:
    ties = [name for name in comparison.ties_with(chosen) if name in ranked]
    if not ties or len(ties) == len(ranked) - 1:
        return []
    return [f"Not significantly different from it: {join_names(ties)}."]


def _attributors(comparison: Comparison, candidates: Sequence[Candidate], chosen: str) -> list[str]:
    """Attributors take many passes: they are for single requests, not for a default."""
    options = {one.name: one.options for one in candidates if "attributor" in one.options}
    better = [name for name in options if comparison.is_better(name, chosen)]
    return [
        f"{name} is significantly better, but takes many passes for an image: ask for it with "
        f"{' '.join(f'{key}={value}' for key, value in options[name].items())}."
        for name in better
    ]


def _baselines(comparison: Comparison, chosen: str) -> list[str]:
    reached = [name for name in BASELINES if not comparison.is_better(chosen, name)]
    if not reached:
        return []
    return [
        f"It is not significantly better than {join_names(reached)}, which knows nothing of the "
        "network: where such maps do as well, these images cannot show what an explanation adds."
    ]
