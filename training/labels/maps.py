"""Maps of all networks, of the same images and targets, and how alike those of two networks are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.evaluation.candidates import Candidate, find_candidates
from service.evaluation.explained import explain_maps
from service.evaluation.perturbed import normalized, predict_fn
from service.evidence.baselines import BASELINES
from service.evidence.intervals import Interval, bootstrap, paired_difference
from service.evidence.similarity import Similarity, compare
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels
from training.faithfulness.store import Store
from training.labels.networks import SHUFFLED, TRUE, TWIN, Role

MEASURES = {"signed": "rank", "absolute": "absolute_rank", "structure": "structural"}
SEED, LABELS, BOTH = "other seed", "other labels", "both other"
PAIRS = {SEED: (TRUE, TWIN), LABELS: (TRUE, SHUFFLED), BOTH: (TWIN, SHUFFLED)}

Engines = Mapping[Role, Engine]


@dataclass(frozen=True)
class Sizes:
    """How many images are explained.

    Attributes
    ----------
    one_pass : int
        By methods of one backward pass, and by the baselines.
    sampled : int
        By methods that take many passes for each image.
    """

    one_pass: int
    sampled: int


@dataclass(frozen=True)
class Comparison:
    """How alike a method's maps are.

    Attributes
    ----------
    pairs : dict of str to dict of str to Interval
        By pair of networks, as in `PAIRS`, and measure, as in `MEASURES`.
    falls : dict of str to Interval
        By measure: how much more alike two networks are that differ by their seeds than two that
        differ by their labels besides, image by image.
    """

    pairs: dict[str, dict[str, Interval]]
    falls: dict[str, Interval]

    @property
    def telling(self) -> list[str]:
        """The measures that fall significantly: they tell other labels from other seeds."""
        return [name for name, one in self.falls.items() if one.low > 0]


def compare_maps(maps: Mapping[Role, Tensor]) -> Comparison:
    """Compare maps of shape (N, H, W) of the same images and targets, by network."""
    found = {
        pair: _by_measure(compare(maps[left], maps[right])) for pair, (left, right) in PAIRS.items()
    }
    return Comparison(
        {
            pair: {measure: bootstrap(values) for measure, values in of_pair.items()}
            for pair, of_pair in found.items()
        },
        {
            measure: paired_difference(found[SEED][measure], found[BOTH][measure])
            for measure in MEASURES
        },
    )


def _by_measure(similarity: Similarity) -> dict[str, Tensor]:
    return {name: getattr(similarity, attribute) for name, attribute in MEASURES.items()}


class Maps:
    """Maps of each method by each network; those that are in the store are not made again.

    Parameters
    ----------
    engines : mapping of Role to Engine
        The networks.
    pixels : NDArray[uint8]
        RGB, shape (N, H, W, 3).
    sizes : Sizes
        How many of them each method explains.
    store : Store
        Where the maps are kept.
    """

    def __init__(self, engines: Engines, pixels: Pixels, sizes: Sizes, store: Store) -> None:
        self._engines, self._sizes, self._store = engines, sizes, store
        self._pixels = pixels[: sizes.one_pass]
        engine = engines[TRUE]
        logits = predict_fn(engine)(normalized(engine, self._pixels))
        self.targets: NDArray[np.int64] = logits.argmax(1).cpu().numpy()
        self.methods = find_candidates(engine)

    def of_method(self, method: Candidate) -> dict[Role, Tensor]:
        """Relevance for the classes that the first network predicts, shape (N, H, W)."""
        n_passes = method.method.n_passes(1, self._engines[TRUE].card.input_size)
        n = min(len(self._pixels), self._sizes.one_pass if n_passes == 1 else self._sizes.sampled)

        def explain(role: Role) -> Tensor:
            kept = self._store.read(method.name, role.name, 0, n)
            if kept is None:
                maps = explain_maps(
                    *(self._engines[role], self._pixels[:n], method.method),
                    *(self.targets[:n], method.start),
                )
                kept = {"relevance": maps.relevance}
                self._store.write(method.name, role.name, 0, kept)
            return torch.from_numpy(kept["relevance"][:n])

        return self._by_role(explain)

    def of_baseline(self, name: str) -> dict[Role, Tensor]:
        """Maps that know nothing of the network, of its input."""

        def draw(role: Role) -> Tensor:
            return BASELINES[name](normalized(self._engines[role], self._pixels)).cpu()

        return self._by_role(draw)

    def _by_role(self, make: Callable[[Role], Tensor]) -> dict[Role, Tensor]:
        return {role: make(role) for role in self._engines}
