"""Pictures are drawn one at a time: nothing more is drawn for a request that is over."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import service.api.response.target
from service.imaging.render import heatmap_png
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import problem_of
from tests.helpers.conditions import wait_until

N_TARGETS = 10
LARGE = {"size": 512, "targets": list(range(N_TARGETS))}


class Drawing:
    """Draws heatmaps, each of which waits for the gate."""

    def __init__(self) -> None:
        self.n_begun = self.n_done = 0
        self.gate = threading.Event()

    def __call__(self, *arguments: Any) -> bytes:
        self.n_begun += 1
        assert self.gate.wait(60)
        self.n_done += 1
        return heatmap_png(*arguments)


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Drawing:
    made = Drawing()
    monkeypatch.setattr(service.api.response.target, "heatmap_png", made)
    return made


@pytest.fixture
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with connect(Settings(deadline_s=request.param), FakeEngine()) as made:
        yield made


def body(photo: bytes) -> dict[str, Any]:
    return {"json": {"image": base64.b64encode(photo).decode(), **LARGE}}


@pytest.mark.parametrize("connection", [1.0], indirect=True)
def test_nothing_more_is_drawn_after_the_deadline(
    connection: Connection, drawing: Drawing, photo: bytes
) -> None:
    response = connection.request("POST", "/explain", **body(photo))
    drawing.gate.set()
    wait_until(lambda: drawing.n_done == drawing.n_begun)

    problem_of(response, 504)
    assert drawing.n_begun == 1


@pytest.mark.parametrize("connection", [60.0], indirect=True)
def test_every_picture_is_drawn_once(
    connection: Connection, drawing: Drawing, photo: bytes
) -> None:
    drawing.gate.set()

    response = connection.request("POST", "/explain", **body(photo))

    assert len({each["heatmap"] for each in response.json()["explanations"]}) == N_TARGETS
    assert drawing.n_done == N_TARGETS
