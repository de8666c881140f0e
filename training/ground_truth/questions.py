"""Questions with a known answer: which class is explained, and where its relevance has to lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.evidence.localization import pointing_game, relevance_mass, relevance_rank
from training.ground_truth.scenes import DECIDER, Scenes
from training.ground_truth.variants import PAIRED

METRICS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"pointing": pointing_game, "mass": relevance_mass, "rank": relevance_rank}
)
Scores = dict[str, list[float]]  # by metric, one for each image


@dataclass(frozen=True)
class Question:
    """What is explained in each image, and the answer.

    Attributes
    ----------
    name : str
        `class`, or `contrast` for a class against another.
    targets : NDArray[int64]
        Index of the class to explain, shape (N,).
    contrasts : NDArray[int64] or None
        Index of the class to explain it against, shape (N,).
    positive : NDArray[bool]
        Where positive relevance has to lie, shape (N, H, W).
    negative : NDArray[bool] or None
        Where negative relevance has to lie; None where that is not known.
    """

    name: str
    targets: NDArray[np.int64]
    contrasts: NDArray[np.int64] | None
    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_] | None

    def first(self, n: int) -> Question:
        """The question about the first `n` images."""
        return Question(
            self.name,
            self.targets[:n],
            None if self.contrasts is None else self.contrasts[:n],
            self.positive[:n],
            None if self.negative is None else self.negative[:n],
        )

    def score(self, relevance: NDArray[np.float32]) -> Scores:
        """Score maps, shape (N, H, W), by each of `METRICS`.

        Where the place of negative relevance is known too, a score is the mean of that of the map
        and that of the map with its signs turned round.
        """
        maps, inside = torch.from_numpy(relevance), torch.from_numpy(self.positive)
        scores = {name: measure(maps, inside) for name, measure in METRICS.items()}
        if self.negative is not None:
            against = torch.from_numpy(self.negative)
            scores = {
                name: (scores[name] + measure(-maps, against)) / 2
                for name, measure in METRICS.items()
            }
        return {name: values.tolist() for name, values in scores.items()}


def ask(variant: str, scenes: Scenes) -> list[Question]:
    """The questions that are asked of the scenes of a variant."""
    masks = scenes.masks()
    decider = masks[:, DECIDER]
    questions = [Question("class", scenes.labels, None, decider, None)]
    if variant == PAIRED:
        other = 1 - DECIDER
        contrast = Question(
            "contrast", scenes.labels, scenes.shape[:, other], decider, masks[:, other]
        )
        questions.append(contrast)
    return questions
