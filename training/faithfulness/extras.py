"""Measures of a method besides its curves, on fewer images, as most take many passes.

Faithfulness correlation, sensitivity to noise, sanity checks, class sensitivity, targets of either
sign and contrasts, completeness and sparseness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.evaluation.candidates import Candidate
from service.evaluation.perturbed import DECISIVE, predict_fn
from service.evidence.complexity import sparseness
from service.evidence.conservation import completeness_gap
from service.evidence.correlation import faithfulness_correlation
from service.evidence.curves import PredictFn
from service.evidence.fills import FILLS
from service.evidence.randomization import randomization_check
from service.evidence.sensitivity import sensitivity
from service.evidence.targets import class_sensitivity, random_others, score_falls
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.models.evidence import Measure
from service.runtime.engine import Engine
from training.faithfulness.experiment import MAPS, Block
from training.faithfulness.store import Store

EXTRAS, RANDOMIZED = "extras", "randomized"
RANDOMIZED_MEASURES = ("rank", "absolute_rank", "structural")
N_SAMPLED_IMAGES = 20  # of methods of many passes
_N_NOISY = 5
_N_SUBSETS = 50

EXTRA_MEASURES = {
    "faithfulness correlation": Measure(
        text="Correlation of the relevance of random quarters of the patches with the fall of the "
        "probability without them",
        higher_is_better=True,
    ),
    "sensitivity": Measure(
        text="Largest relative change of the map under noise of 2% of the image's range",
        higher_is_better=False,
    ),
    "randomized top": Measure(
        text="Rank correlation of the map with that of the network whose last layer is random",
        higher_is_better=False,
    ),
    "randomized all": Measure(
        text="Rank correlation of the map with that of a network whose weights are all random",
        higher_is_better=False,
    ),
    "other class": Measure(
        text="Rank correlation of the maps of the predicted class and of another one",
        higher_is_better=False,
    ),
    "either sign": Measure(
        text="Share of random other classes, most of negative logit, whose logit falls further "
        "without the most than without the least relevant quarter",
        higher_is_better=True,
    ),
    "contrast": Measure(
        text="The same of the predicted class against another: of the difference of their logits",
        higher_is_better=True,
    ),
    "completeness gap": Measure(
        text="How far the sum of the relevance is from the relevance at the output, relative to it",
        higher_is_better=False,
    ),
    "sparseness": Measure(text="Gini index of the absolute relevance", higher_is_better=None),
}


class Memoized:
    """Logits of batches that were seen before are looked up: methods share them."""

    def __init__(self, predict: PredictFn) -> None:
        self._predict = predict
        self._known: dict[bytes, Tensor] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of normalized images."""
        key = hashlib.blake2b(images.cpu().contiguous().numpy().tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._predict(images)
        return self._known[key]


class Extras:
    """The measures of methods on the images of a block."""

    def __init__(self, engine: Engine, block: Block, store: Store) -> None:
        self._engine, self._block, self._store = engine, block, store
        self._predict = Memoized(predict_fn(engine))

    def measure(self, method: Candidate) -> dict[str, NDArray[np.float32]]:
        """Each measure, with one value for each image of its own."""
        is_one_pass = method.method.n_passes(1, self._engine.card.input_size) == 1
        n = len(self._block.pixels) if is_one_pass else N_SAMPLED_IMAGES
        images, targets = self._block.images[:n], self._block.targets[:n]
        relevance = torch.from_numpy(self._block.maps(method))[:n]
        others = random_others(images, targets, len(self._engine.card.labels))
        explain = _explain_fn(self._engine.explainer, method)
        found = {
            "faithfulness correlation": self._correlation(relevance, images, targets),
            "sensitivity": sensitivity(
                explain, images, targets, _generator(), n_samples=_N_NOISY
            ).maximum,
            "other class": class_sensitivity(explain, images, targets, others).rank,
            "either sign": self._falls(explain(images, others), images, others),
            "sparseness": sparseness(relevance),
        }
        pairs = torch.stack([targets, others], 1)
        contrasted = _explain_fn(self._engine.explainer, method, others)(images, targets)
        found["contrast"] = self._falls(contrasted, images, pairs)
        by_layer = self.randomized(method)["rank"]
        found["randomized top"], found["randomized all"] = by_layer[:, 0], by_layer[:, -1]
        totals = (self._store.read(method.name, MAPS, self._block.number) or {}).get("totals")
        if method.method.conserves and totals is not None:
            sums = relevance.sum((1, 2))
            found["completeness gap"] = completeness_gap(sums, torch.from_numpy(totals)[:n])
        return {name: values.float().cpu().numpy() for name, values in found.items()}

    def _correlation(self, relevance: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        grid = DECISIVE.grid(*images.shape[2:])
        return faithfulness_correlation(
            self._predict, images, targets, relevance, grid, FILLS[DECISIVE.fill], _generator(),
            n_hidden=grid.n_patches // 4, n_subsets=_N_SUBSETS,
        )  # fmt: skip

    def _falls(self, relevance: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """Whether the score falls further without the most than without the least relevant."""
        grid = DECISIVE.grid(*images.shape[2:])
        most, least = score_falls(
            self._predict, images, targets, relevance, grid, FILLS[DECISIVE.fill], _generator(),
            n_hidden=grid.n_patches // 4,
        )  # fmt: skip
        return (most > least).float()

    def randomized(self, method: Candidate) -> dict[str, Tensor]:
        """Similarity of the maps with those of networks with random weights, layer by layer.

        Returns
        -------
        dict of str to Tensor
            By measure, an attribute of `Similarity`, of shape (N, layers), from the top. It is
            kept in the store, too.
        """
        images, targets = (
            values[:N_SAMPLED_IMAGES] for values in (self._block.images, self._block.targets)
        )
        box = _box(self._engine)

        def explain(network: nn.Module) -> Tensor:
            return _explain_fn(Explainer(network, box), method)(images, targets)

        checks = randomization_check(self._engine.explainer.network.module, explain)
        found = {
            name: torch.stack([getattr(one.similarity, name) for one in checks], 1)
            for name in RANDOMIZED_MEASURES
        }
        self._store.write(method.name, RANDOMIZED, self._block.number, found)
        return found


def _explain_fn(
    explainer: Explainer, method: Candidate, contrasts: Tensor | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    is_logit = method.start == "logit"

    def explain(images: Tensor, targets: Tensor) -> Tensor:
        nothing = torch.full_like(targets, -1)
        start = OutputRelevance(
            targets,
            nothing if contrasts is None else contrasts,
            torch.full_like(targets, is_logit, dtype=torch.bool),
        )
        return explainer.explain(images, [start], method.method).relevances[0].sum(1).detach()

    return explain


def _box(engine: Engine) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (engine.card.mean, engine.card.std))
    return (0 - mean) / std, (1 - mean) / std


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
