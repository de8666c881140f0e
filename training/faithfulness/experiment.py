"""The experiment: maps of every method, and curves with patches hidden, block by block."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.evaluation.candidates import Candidate, default_candidate, find_candidates
from service.evaluation.explained import explain_maps
from service.evaluation.images import ImageSet
from service.evaluation.perturbed import (
    PerturbedSet,
    Setting,
    normalized,
    predict_fn,
)
from service.evidence.baselines import BASELINES
from service.evidence.fills import FILLS
from service.runtime.engine import Engine
from training.faithfulness.store import BLOCK, Store

SIDES = (1, 2, 4, 8)
SETTINGS = {
    setting.name: setting for fill in FILLS for setting in (Setting(s, fill) for s in SIDES)
}
MAPS = "maps"
SayFn = Callable[[str], object]


@dataclass(frozen=True)
class Sizes:
    """Images that are measured.

    Attributes
    ----------
    default : int
        With the default method, and the baselines.
    others : int
        With the other methods.
    """

    default: int
    others: int


class Block:
    """A hundred images; what all methods share is computed when it is needed first.

    Parameters
    ----------
    engine : Engine
        The network.
    images : ImageSet
        All images.
    number : int
        Of the block.
    store : Store
        Where maps are kept.
    """

    def __init__(self, engine: Engine, images: ImageSet, number: int, store: Store) -> None:
        rows = slice(number * BLOCK, (number + 1) * BLOCK)
        self.engine, self.number, self._store = engine, number, store
        self.pixels = images.pixels[rows]
        self._perturbed: dict[str, PerturbedSet] = {}

    @cached_property
    def images(self) -> Tensor:
        """Normalized."""
        return normalized(self.engine, self.pixels)

    @cached_property
    def targets(self) -> Tensor:
        """The predicted classes, which are explained."""
        return predict_fn(self.engine)(self.images).argmax(1)

    def perturbed(self, setting: Setting) -> PerturbedSet:
        """The images with patches hidden; methods share what is known of them."""
        if setting.name not in self._perturbed:
            self._perturbed[setting.name] = PerturbedSet(
                predict_fn(self.engine), self.images, self.targets, setting
            )
        return self._perturbed[setting.name]

    def maps(self, method: Candidate | str) -> NDArray[np.float32]:
        """Relevance of a method or of a baseline, shape (N, H, W)."""
        if isinstance(method, str):
            baseline: NDArray[np.float32] = BASELINES[method](self.images).cpu().numpy()
            return baseline
        n = len(self.pixels)
        kept = self._store.read(method.name, MAPS, self.number, n)
        if kept is None:
            targets = self.targets.cpu().numpy()
            maps = explain_maps(self.engine, self.pixels, method.method, targets, method.start)
            kept = {"relevance": maps.relevance, "totals": maps.totals}
            self._store.write(method.name, MAPS, self.number, kept)
        return kept["relevance"][:n]


def name_of(method: Candidate | str) -> str:
    """Name of a method, or of a baseline."""
    return method if isinstance(method, str) else method.name


def run_curves(
    engine: Engine,
    images: ImageSet,
    store: Store,
    sizes: Sizes,
    settings: Sequence[Setting],
    methods: Sequence[Candidate | str],
    limit_s: float,
    say: SayFn,
) -> bool:
    """Measure curves until all are there, or the time is over; returns whether all are there."""
    began_s = time.monotonic()
    todo = list(_missing(engine, images, store, sizes, settings, methods))
    say(f"{len(todo)} parts of {BLOCK} images are missing")
    block: Block | None = None
    for n_done, (number, setting, method) in enumerate(todo):
        elapsed_s = time.monotonic() - began_s
        if n_done and elapsed_s + elapsed_s / n_done > limit_s:
            left_s = (len(todo) - n_done) * elapsed_s / n_done
            say(f"{n_done} parts are done; about {left_s / 60:.0f} minutes are left")
            return False
        if block is None or block.number != number:
            block = Block(engine, images, number, store)
        curves = block.perturbed(setting).curves(torch.from_numpy(block.maps(method)))
        store.write(
            *(name_of(method), setting.name, number),
            {"morf": curves.morf.numpy(), "lerf": curves.lerf.numpy()},
        )
    return True


def all_methods(engine: Engine) -> list[Candidate | str]:
    """The default method first, then baselines, then the others, the dear ones last."""
    default = default_candidate(engine)
    others = [one for one in find_candidates(engine) if one.name != default.name]
    size = engine.card.input_size
    others.sort(key=lambda one: one.method.n_passes(1, size))
    return [default, *BASELINES, *others]


def _missing(
    engine: Engine,
    images: ImageSet,
    store: Store,
    sizes: Sizes,
    settings: Sequence[Setting],
    methods: Sequence[Candidate | str],
) -> Iterator[tuple[int, Setting, Candidate | str]]:
    """Parts that are not there: block by block, as methods share what is known of a block."""
    many = {default_candidate(engine).name, *BASELINES}
    for number in range(-(-len(images) // BLOCK)):
        for method in methods:
            n = sizes.default if name_of(method) in many else sizes.others
            if number * BLOCK >= n:
                continue
            n_rows = min(BLOCK, len(images) - number * BLOCK)
            for setting in settings:
                if store.read(name_of(method), setting.name, number, n_rows) is None:
                    yield number, setting, method
