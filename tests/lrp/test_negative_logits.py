"""Negative logits: both starts are zennit's numbers, and red speaks for the class with `logit`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, make_method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from tests.helpers.network_input import read_pixels
from tests.lrp.reference import normalized, zennit_explain

EPSILON = [name for name in COMPOSITES if name.startswith("epsilon_")]
NONE = -1


@pytest.fixture(scope="module")
def pixels(samples: list[Path]) -> np.ndarray:
    return read_pixels(samples[0])


@pytest.fixture(scope="module")
def image(pixels: np.ndarray, shipped_bundle: Bundle) -> Tensor:
    return normalized([pixels], shipped_bundle).double()


@pytest.fixture(scope="module")
def explainer(engine: Engine) -> Explainer:
    return engine.explainer.to_double()


@pytest.fixture(scope="module")
def ranked(explainer: Explainer, image: Tensor) -> list[int]:
    """Classes by their logits, the highest first; the last two are negative."""
    values, order = explainer.predict(image)[0].sort(descending=True)
    assert values[-2] < 0 < values[0]
    return [int(index) for index in order]


def zennit_output(target: int, contrast: int, *, is_logit: bool) -> Callable[[Tensor], Tensor]:
    """An output function of zennit's `Gradient`: `one_hot`, or `output * one_hot`."""
    one_hot = torch.zeros(1, 10, dtype=torch.float64)
    one_hot[0, target] = 1
    if contrast != NONE:
        one_hot[0, contrast] = -1
    return lambda output: output.detach() * one_hot if is_logit else one_hot


@pytest.mark.parametrize("ranks", [(9, NONE), (9, 8), (8, 9), (0, 9), (9, 0)], ids=str)
@pytest.mark.parametrize("is_logit", [False, True], ids=["one_hot", "logit"])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_both_starts_equal_zennits_gradient(
    explainer: Explainer,
    pixels: np.ndarray,
    image: Tensor,
    ranked: list[int],
    composite: str,
    is_logit: bool,
    ranks: tuple[int, int],
) -> None:
    target, contrast = (NONE if rank == NONE else ranked[rank] for rank in ranks)
    start = OutputRelevance(
        torch.tensor([target]), torch.tensor([contrast]), torch.tensor([is_logit])
    )
    method = make_method(composite, "gradient", {})
    found = explainer.explain(image, [start], method).relevances[0].numpy()
    output = zennit_output(target, contrast, is_logit=is_logit)
    _, wanted = zennit_explain([pixels], output, method)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("composite", EPSILON)
def test_started_with_1_the_map_of_a_negative_logit_has_the_other_sign(
    explainer: Explainer, image: Tensor, ranked: list[int], composite: str
) -> None:
    target, none = torch.tensor([ranked[-1]]), torch.tensor([NONE])
    starts = [OutputRelevance(target, none, torch.tensor([one])) for one in (False, True)]
    found = explainer.explain(image, starts, make_method(composite, "gradient", {}))
    one_hot, logit = (relevance.numpy() for relevance in found.relevances)
    negative = float(found.logits[0, ranked[-1]])
    np.testing.assert_allclose(logit, negative * one_hot, atol=1e-12 * np.abs(logit).max())


@pytest.mark.parametrize("composite", EPSILON)
def test_a_contrast_of_logits_is_the_difference_of_the_maps_of_both(
    explainer: Explainer, image: Tensor, ranked: list[int], composite: str
) -> None:
    def start(target: int, contrast: int) -> OutputRelevance:
        return OutputRelevance(
            torch.tensor([target]), torch.tensor([contrast]), torch.tensor([True])
        )

    target, contrast = ranked[-1], ranked[-2]
    starts = [start(target, contrast), start(target, NONE), start(contrast, NONE)]
    found = explainer.explain(image, starts, make_method(composite, "gradient", {}))
    together, left, right = (relevance.numpy() for relevance in found.relevances)
    np.testing.assert_allclose(together, left - right, rtol=0, atol=1e-9 * np.abs(left).max())
    logits = found.logits[0]
    assert float(found.totals[0]) == pytest.approx(float(logits[target] - logits[contrast]))
