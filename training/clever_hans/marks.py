"""Where relevance lies on photographs that are taken for a class by a planted mark.

The answer is known by intervention: without the mark the network says another class, and with it
this one, so that what speaks for this class is the mark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from service.evaluation.audit.predictions import Predictor
from service.runtime.engine import Engine
from training.clever_hans.artefacts import ARTEFACTS
from training.clever_hans.planting import Plant, to_pixels
from training.data import Split
from training.ground_truth.questions import Question, Scores
from training.ground_truth.scores import MIN_KNOWN, Sizes, score_all

MARKS = ("tag", "border")  # artefacts with a place; of the others every pixel is a part
_SIZES = Sizes(controls=1000, one_pass=100, sampled=20)


def score_marks(
    engine: Engine, split: Split, plants: Sequence[Plant], sizes: Sizes = _SIZES
) -> dict[str, dict[str, Scores]]:
    """Score every method on the marks that turn images of other classes into theirs.

    Parameters
    ----------
    engine : Engine
        A network that was trained with them.
    split : Split
        Images without artefacts.
    plants : sequence of Plant
        What was planted; what has no place is left out.
    sizes : Sizes
        `controls` images of other classes are tried; those that change are explained.

    Returns
    -------
    dict of str to dict
        By artefact, method and metric, a value for each image. A mark that turns fewer than
        `MIN_KNOWN` images is left out.
    """
    marks = (one for one in plants if one.artefact in MARKS)
    scores = {one.artefact: _score_mark(engine, split, one, sizes) for one in marks}
    return {artefact: found for artefact, found in scores.items() if found}


def _score_mark(engine: Engine, split: Split, one: Plant, sizes: Sizes) -> dict[str, Scores]:
    others = split.images[split.labels != one.label]
    images = others[:: max(1, len(others) // sizes.controls)][: sizes.controls]
    marked = ARTEFACTS[one.artefact](images)
    predictor = Predictor(engine)
    before, after = (
        torch.from_numpy(predictor.probabilities(to_pixels(each)).argmax(1) == one.label)
        for each in (images, marked)
    )
    known = (after & ~before).nonzero()[:, 0]
    if len(known) < MIN_KNOWN:
        return {}
    chosen = known[:: max(1, len(known) // sizes.one_pass)][: sizes.one_pass]  # of all classes
    place = (marked != images).any(0).any(0).numpy()
    targets = np.full(len(chosen), one.label)
    question = Question(one.artefact, targets, None, np.stack([place] * len(chosen)), None)
    return dict(score_all(engine, to_pixels(marked[chosen]), question, sizes, set()))
