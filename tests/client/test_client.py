"""The blocking and the asyncio client against a real server."""

from __future__ import annotations

import asyncio
import io
from dataclasses import asdict
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
    UnreadableResponse,
)
from lrpserve_client.exchange import timing_ms
from lrpserve_client.images import ImageSource
from tests.helpers.servers import RunningServer, running_server


@pytest.mark.parametrize("channels", ["sum", "all"])
def test_relevance_equals_the_npy_response(
    server: RunningServer, client: httpx.Client, cat: Path, channels: str
) -> None:
    headers = {"Content-Type": "image/jpeg", "Accept": "application/x-npy"}
    options = {"channels": channels}
    raw = client.post("/explain", content=cat.read_bytes(), headers=headers, params=options)
    with Client(server.url) as lrpserve:
        explanation = lrpserve.explain(cat, channels=channels)
    assert explanation.relevance is not None
    assert explanation.relevance.dtype == np.float32
    np.testing.assert_array_equal(explanation.relevance, np.load(io.BytesIO(raw.content)))


def test_every_type_of_image_gives_the_same_prediction(server: RunningServer, cat: Path) -> None:
    image = Image.open(cat)
    sources: list[ImageSource] = [
        cat,
        str(cat),
        cat.read_bytes(),
        image,
        np.asarray(image.convert("RGB")),
    ]
    with Client(server.url) as lrpserve:
        predictions = [lrpserve.predict(source).predictions for source in sources]
    assert predictions == [predictions[0]] * len(sources)


def test_the_async_client_gives_the_same_results(server: RunningServer, cat: Path) -> None:
    async def request() -> tuple[Prediction, Explanation, tuple[Explanation, ...], Any]:
        async with AsyncClient(server.url) as lrpserve:
            several = await lrpserve.explain(cat, targets=["cat", 5])
            models = await lrpserve.models()
            assert await lrpserve.model(models[0].name) == models[0]
            return await lrpserve.predict(cat), await lrpserve.explain(cat), several, models

    prediction, explanation, several, models = asyncio.run(request())
    with Client(server.url) as lrpserve:
        assert lrpserve.predict(cat).predictions == prediction.predictions
        assert lrpserve.models() == models
        pairs = zip(
            [lrpserve.explain(cat), *lrpserve.explain(cat, targets=["cat", 5])],
            [explanation, *several],
            strict=True,
        )
    for expected, actual in pairs:
        assert expected.relevance is not None
        assert actual.relevance is not None
        np.testing.assert_array_equal(actual.relevance, expected.relevance)
        assert (actual.heatmap, actual.target) == (expected.heatmap, expected.target)
        assert actual.bound == expected.bound


def test_options_may_be_numpy_scalars(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as lrpserve:
        explanation = lrpserve.explain(cat, target=np.int64(5), bound=np.float32(0.5))
        assert (explanation.target.index, explanation.bound) == (5, 0.5)
        targets = np.argsort([0.1, 0.3, 0.2])
        explanations = lrpserve.explain(cat, targets=list(targets))
    assert [each.target.index for each in explanations] == targets.tolist()


def test_jupyter_shows_the_overlay_or_the_heatmap(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as lrpserve:
        heatmap = lrpserve.explain(cat)
        both = lrpserve.explain(cat, output="heatmap,overlay", target="cat")
    assert heatmap._repr_png_() == heatmap.heatmap
    assert both._repr_png_() == both.overlay
    assert (both.overlay or b"").startswith(b"\x89PNG")
    assert both.relevance is None
    assert "cat" in repr(both)


def test_request_refused_has_the_members_of_the_problem(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as lrpserve, pytest.raises(RequestRefused, match="composite") as caught:
        lrpserve.explain(cat, composite="no such")
    assert caught.value.status == 422
    assert caught.value.type == "urn:lrpserve:problem:invalid-option"
    assert caught.value.request_id
    assert [error.option for error in caught.value.errors] == ["composite"]
    assert caught.value.detail in str(caught.value)


def test_the_api_key_is_sent_and_rate_limits_are_retried(tmp_path: Path, cat: Path) -> None:
    settings = {
        "LRPSERVE_API_KEYS": "a-key-for-tests-of-the-client",
        "LRPSERVE_RATE_LIMIT": "1/second",
    }
    with running_server(tmp_path, settings) as limited:
        with Client(limited.url) as lrpserve, pytest.raises(RequestRefused, match="401"):
            lrpserve.predict(cat)
        with Client(limited.url, api_key=settings["LRPSERVE_API_KEYS"]) as lrpserve:
            predictions = [lrpserve.predict(cat).predictions for _ in range(3)]
        predictions += asyncio.run(predict_at_once(limited.url, settings["LRPSERVE_API_KEYS"], cat))
    assert predictions == [predictions[0]] * 6


async def predict_at_once(url: str, api_key: str, image: Path) -> list[tuple[Score, ...]]:
    async with AsyncClient(url, api_key=api_key, max_retries=20) as lrpserve:
        predictions = await asyncio.gather(*(lrpserve.predict(image) for _ in range(3)))
    return [prediction.predictions for prediction in predictions]


def test_an_unknown_model_is_refused_with_the_known_ones(server: RunningServer) -> None:
    with Client(server.url) as lrpserve, pytest.raises(RequestRefused, match="minivgg") as caught:
        lrpserve.model("nothing")
    assert caught.value.status == 404


def test_timing_ms_has_the_steps_of_the_service(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as lrpserve:
        times = lrpserve.explain(cat).timing_ms
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
def test_malformed_server_timing_entries_are_left_out(header: str, times: dict[str, float]) -> None:
    assert timing_ms(header) == times


def test_a_closed_port_is_service_unreachable_after_the_retries() -> None:
    url = "http://127.0.0.1:1"
    with Client(url, max_retries=1) as lrpserve, pytest.raises(ServiceUnreachable, match=url):
        lrpserve.models()


def test_the_json_of_another_program_is_an_unreadable_response() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"hello": 1}))
    with Client(transport=transport) as lrpserve, pytest.raises(UnreadableResponse):
        lrpserve.models()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.float32), 7],
    ids=["two channels", "float", "number"],
)
def test_other_types_and_shapes_are_not_sent(image: Any) -> None:
    with Client("http://127.0.0.1:1") as lrpserve, pytest.raises((TypeError, ValueError)):
        lrpserve.predict(image)


def test_a_model_is_reloaded_by_its_name() -> None:
    change = {"name": "a b", "sha256": "1", "previous_sha256": None, "is_changed": True}
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={**change, "workers": 2, "later": "field"})

    with Client(transport=httpx.MockTransport(answer)) as lrpserve:
        reloaded = lrpserve.reload("a b")
    assert (sent[0].method, sent[0].url.raw_path) == ("POST", b"/models/a%20b/reload")
    assert asdict(reloaded) == {**change, "workers": 2}


def test_a_reload_that_is_not_allowed_says_what_the_operator_can_set(server: RunningServer) -> None:
    async def reload() -> None:
        async with AsyncClient(server.url) as lrpserve:
            with pytest.raises(RequestRefused, match="LRPSERVE_MODEL_CONTROL"):
                await lrpserve.reload("minivgg-cifar10")

    asyncio.run(reload())
