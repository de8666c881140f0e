"""The batch key of a job: what has to be equal within a batch, and what may differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.methods import make_method, parse_rules
from service.runtime.jobs import ExplainJob, Job, PredictJob

PIXELS = np.zeros((4, 4, 3), np.uint8)
GAMMA_BOX = make_method("epsilon_gamma_box", "gradient", {})
SMOOTH_GRAD = make_method("epsilon_plus", "smooth_grad", {})
INTEGRATED = make_method("none", "integrated_gradients", {})
OCCLUSION = make_method("none", "occlusion", {"window": 8})
JOB = ExplainJob(PIXELS, "one", GAMMA_BOX)


@pytest.mark.parametrize("values", [{"gamma": 0.5}, {"zero_bias": True}])
def test_parameters_of_rules_make_another_batch(values: dict[str, Any]) -> None:
    other = make_method("epsilon_gamma_box", "gradient", values)
    assert replace(JOB, method=other).key != JOB.key


@pytest.mark.parametrize("values", [{"epsilon": 0.5}, {"stabilizer": 1e-3}])
def test_stabilizers_differ_within_a_batch(values: dict[str, Any]) -> None:
    other = make_method("epsilon_gamma_box", "gradient", values)
    assert replace(JOB, method=other).key == JOB.key


@pytest.mark.parametrize(
    ("method", "values"),
    [
        *((SMOOTH_GRAD, {name: 3}) for name in ("n_samples", "seed")),
        (SMOOTH_GRAD, {"noise_level": 0.5}),
        (INTEGRATED, {"n_steps": 3}),
        (INTEGRATED, {"baseline": "black"}),
        (OCCLUSION, {"window": 4}),
        (OCCLUSION, {"window": 8, "stride": 2}),
    ],
)
def test_parameters_of_attributors_make_another_batch(method: Any, values: dict[str, Any]) -> None:
    other = make_method(method.composite, method.attributor, values)
    assert ExplainJob(PIXELS, "one", other).key != ExplainJob(PIXELS, "one", method).key


def test_values_of_custom_rules_make_another_batch() -> None:
    keys = {
        ExplainJob(PIXELS, "one", make_method(parse_rules([rule]), "gradient", {})).key
        for rule in (
            {"layers": "type:linear", "rule": "gamma", "gamma": 0.5},
            {"layers": "type:linear", "rule": "gamma", "gamma": 2.0},
            {"layers": "type:convolution", "rule": "gamma", "gamma": 2.0},
        )
    }
    assert len(keys) == 3


def test_models_operations_layers_and_numbers_of_targets_make_another_batch() -> None:
    at_layer = make_method("epsilon_gamma_box", "gradient", {}, layer="relu")
    others: list[Job] = [
        replace(JOB, model="two"),
        replace(JOB, method=at_layer),
        replace(JOB, method=SMOOTH_GRAD),
        replace(JOB, targets=(1, 2)),
        PredictJob(PIXELS, "one"),
    ]
    assert len({JOB.key, *(job.key for job in others)}) == 1 + len(others)


def test_images_targets_contrasts_and_starts_differ_within_a_batch() -> None:
    other = ExplainJob(PIXELS + 1, "one", GAMMA_BOX, (3,), contrast=2, start="logit")
    assert other.key == JOB.key
