"""Several layers in one request of the client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from lrpserve_client import AsyncClient, Client, LayersExplanation, RequestRefused
from tests.helpers.servers import RunningServer


def test_all_layers_have_the_relevance_that_each_has_alone(
    server: RunningServer, cat: Path
) -> None:
    with Client(server.url) as client:
        listed = client.models()[0].layers
        explained = client.explain_layers(cat, channels="all")
        assert tuple(explained.layers) == listed
        assert explained.target.label == "cat"
        assert repr(explained).endswith(f": {len(listed)} layers>")
        for name in ("input", "features.5", "classifier.7"):
            one = explained.layers[name]
            alone = client.explain(cat, layer=name, channels="all", output="relevance")
            assert one.relevance is not None
            assert alone.relevance is not None
            limit = 1e-5 * np.abs(alone.relevance).max()
            np.testing.assert_allclose(one.relevance, alone.relevance, rtol=0, atol=limit)
            assert one.bound == pytest.approx(alone.bound, rel=1e-5)
            assert one.conservation["arrived"] == pytest.approx(
                alone.conservation["arrived"], rel=1e-3, abs=1e-4
            )
    assert explained.layers["features.5"].heatmap is not None
    assert explained.layers["classifier.7"].heatmap is None  # it has no rows and columns


def test_some_layers_of_several_targets(server: RunningServer, cat: Path) -> None:
    async def request() -> tuple[LayersExplanation, ...]:
        async with AsyncClient(server.url) as client:
            return await client.explain_layers(
                cat, ("features.0", "input"), targets=["cat", 5], output="relevance"
            )

    explanations = asyncio.run(request())
    assert [one.target.index for one in explanations] == [3, 5]
    assert [list(one.layers) for one in explanations] == [["features.0", "input"]] * 2
    assert {layer.heatmap for one in explanations for layer in one.layers.values()} == {None}
    assert repr(explanations[0].layers["input"]).startswith("<LayerRelevance at input: relevance (")


def test_a_layer_that_does_not_exist_is_refused(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as client, pytest.raises(RequestRefused, match="must be all, or among"):
        client.explain_layers(cat, "nothing")


def test_other_methods_name_the_one_for_layers_and_targets(cat: Path) -> None:
    with Client("http://service.invalid") as client:
        with pytest.raises(TypeError, match="explain_layers"):
            client.explain(cat, layers="all")
        with pytest.raises(TypeError, match="explain_layers"):
            client.explain_all([cat], layers="all")
        with pytest.raises(TypeError, match="several targets"):
            client.explain_all([cat], targets=["cat", "dog"])
