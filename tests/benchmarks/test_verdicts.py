"""Verdicts on maps that are broken on purpose are those that a service would give."""

from __future__ import annotations

import pytest
import torch

from benchmarks.red import read_images
from benchmarks.verdicts import FAULTS, Judge
from service.evidence.verdict import judge
from service.methods import DEFAULT_COMPOSITE, Method
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.helpers.record_predictions import SAMPLES


def test_true_maps_have_the_verdicts_of_the_service(engine: Engine) -> None:
    pixels = read_images(SAMPLES, 3)
    rows = {
        row.fault: row
        for row in Judge(engine, DEFAULT_COMPOSITE, ["none", "inverted"], ["predicted"]).rows(
            pixels
        )
    }
    jobs = [ExplainJob(one, engine.card.name, Method(), has_evidence=True) for one in pixels]
    found = [one.attributions[0].findings for one in engine.explain(jobs)]
    verdicts = [judge(one) for one in found if one is not None]
    names = [one.name for one in verdicts]
    shares = {name: names.count(name) / len(names) for name in sorted(set(names))}
    assert rows["none"].shares == pytest.approx(shares)
    middle = sorted(one.separation or 0 for one in verdicts)[1]
    assert rows["none"].separation[1] == pytest.approx(middle, abs=0.01)
    assert rows["inverted"].shares == {"not supported": 1.0}
    assert rows["inverted"].separation[1] == pytest.approx(-middle, abs=0.01)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_keep_the_shape_and_break_the_map(fault: str) -> None:
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    broken = FAULTS[fault](maps)
    assert broken.shape == maps.shape
    assert torch.equal(broken, maps) == (fault == "none")
