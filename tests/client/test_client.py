"""The clients against a real server."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from lrpserve_client import (
    AsyncClient,
    Client,
    Explanation,
    Prediction,
    RequestRefused,
    Score,
    ServiceUnreachable,
    UnreadableAnswer,
)
from lrpserve_client.exchange import timing_ms
from lrpserve_client.images import ImageSource
from tests.helpers.servers import RunningServer, running_server


@pytest.mark.parametrize("channels", ["sum", "all"])
def test_relevance_is_that_of_the_raw_array(
    server: RunningServer, client: httpx.Client, cat: Path, channels: str
) -> None:
    headers = {"Content-Type": "image/jpeg", "Accept": "application/x-npy"}
    options = {"channels": channels}
    raw = client.post("/explain", content=cat.read_bytes(), headers=headers, params=options)
    with Client(server.url) as asking:
        explanation = asking.explain(cat, channels=channels)
    assert explanation.relevance is not None
    assert explanation.relevance.dtype == np.float32
    np.testing.assert_array_equal(explanation.relevance, np.load(io.BytesIO(raw.content)))


def test_every_kind_of_image_gets_the_same_answer(server: RunningServer, cat: Path) -> None:
    picture = Image.open(cat)
    kinds: list[ImageSource] = [
        cat,
        str(cat),
        cat.read_bytes(),
        picture,
        np.asarray(picture.convert("RGB")),
    ]
    with Client(server.url) as asking:
        answers = [asking.predict(kind).predictions for kind in kinds]
    assert answers == [answers[0]] * len(kinds)


def test_the_async_client_gives_what_the_other_gives(server: RunningServer, cat: Path) -> None:
    async def ask() -> tuple[Prediction, Explanation, tuple[Explanation, ...], Any]:
        async with AsyncClient(server.url) as asking:
            several = await asking.explain(cat, targets=["cat", 5])
            models = await asking.models()
            assert await asking.model(models[0].name) == models[0]
            return await asking.predict(cat), await asking.explain(cat), several, models

    prediction, explanation, several, models = asyncio.run(ask())
    with Client(server.url) as asking:
        assert asking.predict(cat).predictions == prediction.predictions
        assert asking.models() == models
        pairs = zip(
            [asking.explain(cat), *asking.explain(cat, targets=["cat", 5])],
            [explanation, *several],
            strict=True,
        )
    for one, other in pairs:
        assert one.relevance is not None
        assert other.relevance is not None
        np.testing.assert_array_equal(one.relevance, other.relevance)
        assert (one.heatmap, one.target, one.bound) == (other.heatmap, other.target, other.bound)


def test_numbers_of_numpy_are_numbers(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as asking:
        one = asking.explain(cat, target=np.int64(5), bound=np.float32(0.5))
        assert (one.target.index, one.bound) == (5, 0.5)
        targets = np.argsort([0.1, 0.3, 0.2])
        found = asking.explain(cat, targets=list(targets))
    assert [each.target.index for each in found] == targets.tolist()


def test_jupyter_shows_the_picture(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as asking:
        heatmap = asking.explain(cat)
        both = asking.explain(cat, output="heatmap,overlay", target="cat")
    assert heatmap._repr_png_() == heatmap.heatmap
    assert both._repr_png_() == both.overlay
    assert (both.overlay or b"").startswith(b"\x89PNG")
    assert both.relevance is None
    assert "cat" in repr(both)


def test_a_refusal_says_what_to_do(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as asking, pytest.raises(RequestRefused, match="composite") as caught:
        asking.explain(cat, composite="no such")
    assert caught.value.status == 422
    assert caught.value.type == "urn:lrpserve:problem:invalid-option"
    assert caught.value.request_id
    assert [one.option for one in caught.value.errors] == ["composite"]
    assert caught.value.detail in str(caught.value)


def test_a_key_is_sent_and_a_limit_is_waited_for(tmp_path: Path, cat: Path) -> None:
    settings = {
        "LRPSERVE_API_KEYS": "a-key-for-tests-of-the-client",
        "LRPSERVE_RATE_LIMIT": "1/second",
    }
    with running_server(tmp_path, settings) as limited:
        with Client(limited.url) as asking, pytest.raises(RequestRefused, match="401"):
            asking.predict(cat)
        with Client(limited.url, api_key=settings["LRPSERVE_API_KEYS"]) as asking:
            answers = [asking.predict(cat).predictions for _ in range(3)]
        answers += asyncio.run(predict_at_once(limited.url, settings["LRPSERVE_API_KEYS"], cat))
    assert answers == [answers[0]] * 6


async def predict_at_once(url: str, api_key: str, image: Path) -> list[tuple[Score, ...]]:
    async with AsyncClient(url, api_key=api_key, max_retries=20) as asking:
        found = await asyncio.gather(*(asking.predict(image) for _ in range(3)))
    return [one.predictions for one in found]


def test_a_model_that_is_not_there_is_refused_with_those_that_are(server: RunningServer) -> None:
    with Client(server.url) as asking, pytest.raises(RequestRefused, match="minivgg") as caught:
        asking.model("nothing")
    assert caught.value.status == 404


def test_times_are_those_of_the_service(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as asking:
        times = asking.explain(cat).timing_ms
    assert {"decode", "queue", "compute", "render", "total"} <= set(times)
    assert times["total"] >= times["compute"] > 0


@pytest.mark.parametrize(
    ("header", "times"),
    [
        ("", {}),
        ("a;dur=1.5, b;dur=2", {"a": 1.5, "b": 2.0}),
        ("a, b;dur=, c;desc=x, d;dur=3", {"d": 3.0}),
    ],
)
def test_times_that_cannot_be_read_are_left_out(header: str, times: dict[str, float]) -> None:
    assert timing_ms(header) == times


def test_nobody_there_is_said_after_the_retries() -> None:
    url = "http://127.0.0.1:1"
    with Client(url, max_retries=1) as asking, pytest.raises(ServiceUnreachable, match=url):
        asking.models()


def test_another_service_is_noticed() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"hello": 1}))
    with Client(transport=transport) as asking, pytest.raises(UnreadableAnswer):
        asking.models()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), 7],
    ids=["grey", "float", "number"],
)
def test_what_is_no_image_is_not_sent(image: Any) -> None:
    with Client("http://127.0.0.1:1") as asking, pytest.raises((TypeError, ValueError)):
        asking.predict(image)
