"""Load shedding: while the queue is full, images get a 429 before they are read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from service.runtime.batcher import Full
from service.runtime.queued_job import QueuedJob
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import problem_of

RAW = {"Content-Type": "image/jpeg"}


@pytest.fixture
def connection() -> Iterator[Connection]:
    with connect(Settings(), FakeEngine()) as made:
        yield made


def fill(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the queue is full, of requests of others who have as few."""

    def refuse(item: QueuedJob) -> None:
        raise Full

    monkeypatch.setattr(connection.app_state.queue._batcher, "is_full", lambda client: True)
    monkeypatch.setattr(connection.app_state.queue._batcher, "put", refuse)


def send_pieces(
    connection: Connection, path: str, photo: bytes
) -> tuple[httpx.Response, list[int]]:
    """Send an image in pieces; returns the response, and the lengths of the pieces it read."""
    read: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(photo), 100):
            piece = photo[start : start + 100]
            read.append(len(piece))
            yield piece
            await asyncio.sleep(0)

    return connection.request("POST", path, content=pieces(), headers=RAW), read


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_refused_request_is_not_read(
    connection: Connection, path: str, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, read = send_pieces(connection, path, photo)
    assert answer.status_code == 200
    assert sum(read) == len(photo)
    fill(connection, monkeypatch)
    answer, read = send_pieces(connection, path, photo)
    problem_of(answer, 429, "try again in")
    assert int(answer.headers["retry-after"]) >= 1
    assert read == []


def test_a_refused_request_is_counted_and_logged(
    connection: Connection,
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service.api.middleware.request_context")
    fill(connection, monkeypatch)
    connection.request("POST", "/explain", content=photo, headers=RAW)
    (record,) = caplog.records
    fields = vars(record)["fields"]
    assert (fields["path"], fields["status"]) == ("/explain", 429)
    text = connection.request("GET", "/metrics").text
    counted = 'lrpserve_requests_total{composite="",model="",route="/explain",status="429"} 1.0'
    assert counted in text
    assert 'lrpserve_jobs_total{outcome="rejected"} 1.0' in text


@pytest.mark.parametrize("path", ["/models", "/healthz", "/readyz", "/metrics"])
def test_other_paths_are_served(
    connection: Connection, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection, monkeypatch)
    assert connection.request("GET", path).status_code == 200


def test_a_cached_response_is_served_while_the_queue_is_full(
    photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(Settings(cache_bytes=1_000_000), FakeEngine()) as connection:
        first = connection.request("POST", "/explain", content=photo, headers=RAW)
        fill(connection, monkeypatch)
        again = connection.request("POST", "/explain", content=photo, headers=RAW)
        assert (again.status_code, again.content) == (200, first.content)
        other = {"target": "dog"}
        answer = connection.request("POST", "/explain", params=other, content=photo, headers=RAW)
        problem_of(answer, 429)
