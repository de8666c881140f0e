"""The threads of a batch's operators: as many as were measured to be best, after each pause too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.methods import Method, make_method
from service.models.bundles import Bundle
from service.runtime.batch_size import BatchPlan
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Pixels

IN_A_BATCH, ALL = 2, 3


@pytest.fixture
def engine(shipped_bundle: Bundle) -> Iterator[Engine]:
    before = torch.get_num_threads()
    made = Engine(shipped_bundle, torch.device("cpu"), n_threads=ALL)
    made.plan = BatchPlan(1, {1: IN_A_BATCH})
    yield made
    torch.set_num_threads(before)


@pytest.fixture
def pixels(cat: Path) -> Pixels:
    return np.asarray(Image.open(cat).convert("RGB"))


def test_a_batch_has_those_that_were_best_for_its_size(engine: Engine, pixels: Pixels) -> None:
    engine.explain([ExplainJob(pixels, engine.card.name, Method())])
    assert torch.get_num_threads() == IN_A_BATCH


def test_many_passes_have_all_of_them_after_each_pause(engine: Engine, pixels: Pixels) -> None:
    method = make_method(None, "smooth_grad", {"n_samples": 64})
    seen = []
    for _ in engine.run_in_passes([ExplainJob(pixels, engine.card.name, method)]):
        seen.append(torch.get_num_threads())
        torch.set_num_threads(1)  # by another batch, which runs meanwhile
    assert len(seen) > 1
    assert set(seen) == {ALL}
