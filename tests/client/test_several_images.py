"""Several images in one request of the client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from lrpserve_client import AsyncClient, Client, Explanation, Prediction, RequestRefused
from tests.helpers.servers import RunningServer


def test_results_are_in_the_order_of_the_images(server: RunningServer, samples: list[Path]) -> None:
    paths = samples[:: len(samples) // 3][:3]
    with Client(server.url) as client:
        predictions = client.predict_all(paths, top_k=2)
        explanations = client.explain_all(paths, composite="epsilon_plus")
        for path, prediction, explanation in zip(paths, predictions, explanations, strict=True):
            assert isinstance(prediction, Prediction)
            assert isinstance(explanation, Explanation)
            alone = client.explain(path, composite="epsilon_plus")
            assert prediction.predictions[0].label == alone.predictions[0].label
            assert explanation.relevance is not None
            assert alone.relevance is not None
            limit = 1e-5 * np.abs(alone.relevance).max()
            np.testing.assert_allclose(explanation.relevance, alone.relevance, rtol=0, atol=limit)


def test_an_image_that_is_refused_is_its_error(server: RunningServer, cat: Path) -> None:
    async def request() -> list[Prediction | RequestRefused]:
        async with AsyncClient(server.url) as client:
            return await client.predict_all([b"no image", cat])

    refused, prediction = asyncio.run(request())
    assert isinstance(refused, RequestRefused)
    assert (refused.status, refused.type) == (400, "urn:lrpserve:problem:not-an-image")
    assert isinstance(prediction, Prediction)
