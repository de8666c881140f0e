"""The relevance by layer against what conservation demands, on the shipped network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.methods import Method, make_method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from training.augment import network_input
from training.layers import LayerRelevance, relevance_by_layer

NAMES = [
    "classifier.7",
    "classifier.4",
    "classifier.1",
    "features.11",
    "features.9",
    "features.6",
    "features.5",
    "features.3",
    "features.0",
    "input",
]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def layers_of(bundle: Bundle, pixels: np.ndarray, method: Method) -> list[LayerRelevance]:
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    image = network_input(image, bundle.card.mean, bundle.card.std)
    return relevance_by_layer(bundle.model, image, method)


def test_layers_come_from_the_output_down_to_the_input(
    shipped_bundle: Bundle, pixels: np.ndarray
) -> None:
    assert [layer.name for layer in layers_of(shipped_bundle, pixels, Method())] == NAMES


def predicted_logit(engine: Engine, pixels: np.ndarray) -> float:
    return float(engine.predict([pixels])[0].logits.max())


def test_without_biases_every_layer_has_all_of_the_relevance(
    shipped_bundle: Bundle, engine: Engine, pixels: np.ndarray
) -> None:
    method = make_method("epsilon_plus_flat", "gradient", {"zero_bias": True})
    totals = [layer.total for layer in layers_of(shipped_bundle, pixels, method)]
    logit = predicted_logit(engine, pixels)
    np.testing.assert_allclose(totals, logit, rtol=1e-3)


def test_with_biases_only_layers_with_weights_change_the_total(
    shipped_bundle: Bundle, engine: Engine, pixels: np.ndarray
) -> None:
    totals = {layer.name: layer.total for layer in layers_of(shipped_bundle, pixels, Method())}
    assert totals["classifier.7"] == pytest.approx(predicted_logit(engine, pixels), rel=1e-5)
    assert totals["features.11"] == pytest.approx(totals["features.9"], rel=1e-5)
    assert totals["features.9"] != pytest.approx(totals["features.6"], rel=1e-5)


def test_the_input_has_the_relevance_that_the_engine_gives(
    shipped_bundle: Bundle, engine: Engine, pixels: np.ndarray
) -> None:
    found = layers_of(shipped_bundle, pixels, Method())[-1]
    (explanation,) = engine.explain([ExplainJob(pixels, engine.card.name, Method())])
    expected = explanation.attributions[0].relevance.sum(0)
    assert found.map is not None
    np.testing.assert_allclose(found.map, expected, atol=1e-5 * np.abs(expected).max())


def test_maps_are_there_where_there_is_space(shipped_bundle: Bundle, pixels: np.ndarray) -> None:
    maps = {layer.name: layer.map for layer in layers_of(shipped_bundle, pixels, Method())}
    shapes = {name: array.shape for name, array in maps.items() if array is not None}
    assert shapes["features.11"] == (8, 8)
    assert shapes["input"] == (32, 32)
    assert maps["classifier.1"] is None
