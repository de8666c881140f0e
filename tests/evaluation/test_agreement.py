"""The deciding measure ranks methods as the exact answer does, where that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.evaluation.candidates import find_candidates
from service.evaluation.explained import explain_maps
from service.evaluation.perturbed import normalized, perturb
from service.evidence.baselines import BASELINES
from service.evidence.localization import relevance_rank
from service.evidence.similarity import spearman
from service.runtime.engine import Engine
from training.ground_truth.planted import PLANTED, planted_bundle

N = 24


def test_the_gap_ranks_methods_as_a_planted_detector_says() -> None:
    engine = Engine(planted_bundle("detector", 0), torch.device("cpu"))
    pixels, (question, *_) = PLANTED["detector"][1](0, N)
    maps = {
        one.name: explain_maps(engine, pixels, one.method, question.targets, one.start).relevance
        for one in find_candidates(engine, all_starts=False)
        if one.method.n_passes(1, engine.card.input_size) == 1
    }
    maps |= {name: one(normalized(engine, pixels)).numpy() for name, one in BASELINES.items()}
    inside = torch.from_numpy(question.positive)
    exact = [float(relevance_rank(torch.from_numpy(one), inside).mean()) for one in maps.values()]
    perturbed = perturb(engine, pixels, question.targets)
    gaps = [float(perturbed.curves(torch.from_numpy(one)).gap.mean()) for one in maps.values()]

    agreement = float(spearman(torch.tensor([gaps]), torch.tensor([exact])))
    assert agreement >= 0.6
    best = int(np.argmax(gaps))
    assert exact[best] == pytest.approx(max(exact), abs=0.02)
    assert gaps[best] > 10 * abs(gaps[list(maps).index("random")])
