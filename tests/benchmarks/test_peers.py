"""The peers are right: what is faster than them must not be so because they do something else."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from PIL import Image

from benchmarks.payloads import multipart, sample
from benchmarks.peers import naive, threads
from benchmarks.peers.tutorial import Tutorial
from service.methods import Method
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob

PIXELS = np.asarray(Image.open(io.BytesIO(sample())).convert("RGB"))


def ask(app: FastAPI, content_type: str, body: bytes) -> Any:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://peer") as client:
            headers = {"Content-Type": content_type}
            return await client.post("/explain", content=body, headers=headers)

    answer = asyncio.run(send())
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("make_app", [naive.make_app, threads.make_app])
def test_a_peer_sees_what_the_product_sees(make_app: Callable[[], FastAPI], engine: Engine) -> None:
    best = ask(make_app(), "image/png", sample())["predictions"][0]
    logits = engine.predict([PIXELS])[0].logits
    chances = torch.from_numpy(logits).softmax(0)
    assert best["label"] == engine.card.labels[int(chances.argmax())]
    assert best["probability"] == pytest.approx(float(chances.max()), abs=1e-4)


def test_a_peer_finds_the_relevance_that_the_product_finds(engine: Engine) -> None:
    payload = multipart(output="heatmap,relevance")
    answer = ask(naive.make_app(), payload.content_type, payload.body)
    wanted = engine.explain([ExplainJob(PIXELS, engine.card.name, Method(), start="one_hot")])[0]
    relevance = wanted.attributions[0].relevance.sum(0)
    found = np.array(answer["relevance"], np.float32)
    assert np.abs(found - relevance).max() <= 1e-4 * np.abs(relevance).max()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["heatmap"])))
    assert picture.format == "PNG"


def test_the_relevance_of_a_batch_is_that_of_each_image_alone() -> None:
    tutorial = Tutorial()
    images = torch.stack([tutorial.load(sample()), -tutorial.load(sample())])
    _, together = tutorial.attribute(images)
    for image, relevance in zip(images, together, strict=True):
        _, alone = tutorial.attribute(image[None])
        torch.testing.assert_close(relevance, alone[0], rtol=1e-4, atol=1e-7)
