"""gRPC of real servers: TLS, keys, several workers, calls that are given up, and the end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import uvicorn

from service.api.protocols.open_inference_grpc.calls import SERVICE
from service.api.protocols.open_inference_grpc.messages import message_class
from service.api.protocols.open_inference_grpc.server import GRPCServer
from service.api.state import AppState
from service.server.process import Server
from service.settings import DEFAULT_MODEL, Settings
from tests.api.in_process import FakeEngine, connect
from tests.helpers.authority import Authority
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.gates import Gates, gated
from tests.helpers.grpc_calls import call, channel_to, infer_fields, start
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    run_to_the_end,
    running_server,
)
from tests.helpers.sockets import free_port

KEY = "a-key-of-the-tests"
METADATA = {"metadata": (("x-api-key", KEY),)}
INFER = f"/{SERVICE}/ModelInfer"
MAX_BODY_BYTES = 100_000


def lines_of(server: RunningServer, status: int) -> list[dict[str, Any]]:
    """The lines of the log of calls of `ModelInfer` with a status."""
    lines = [line for line in server.read_output().splitlines() if INFER in line]
    return [found for line in lines if (found := json.loads(line))["status"] == status]


# --- TLS, keys and workers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[RunningServer, int]]:
    """A server with TLS, a key and two workers; and its port of gRPC."""
    port = free_port()
    settings = {
        **authority.settings,
        "LRPSERVE_GRPC_PORT": str(port),
        "LRPSERVE_API_KEYS": KEY,
        "LRPSERVE_WORKERS": "2",
        "LRPSERVE_LOG_FORMAT": "json",
        "LRPSERVE_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    }
    folder = tmp_path_factory.mktemp("secure")
    with running_server(folder, settings, trust=authority.trust) as server:
        yield server, port


def test_calls_are_served_over_tls_with_a_key(
    secure: tuple[RunningServer, int], authority: Authority, cat: Path
) -> None:
    with channel_to(secure[1], authority.file) as channel:
        fields = infer_fields(cat.read_bytes(), "scores", "heatmap_png")
        response = call(channel, "ModelInfer", METADATA, **fields)
        assert response.raw_output_contents[1][4:8] == b"\x89PNG"
        with pytest.raises(grpc.RpcError, match="an API key is needed") as caught:
            call(channel, "ModelInfer", **fields)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_others_than_clients_with_tls_and_trust_are_not_served(
    secure: tuple[RunningServer, int], tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).file
    for trusted in (None, stranger):
        with channel_to(secure[1], trusted) as channel, pytest.raises(grpc.RpcError) as caught:
            call(channel, "ServerLive", {"timeout": 10})
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_both_workers_serve(
    secure: tuple[RunningServer, int], authority: Authority, cat: Path
) -> None:
    """Each connection belongs to one of them, whose statistics it gets."""
    counts = set()

    def sees_both() -> bool:
        with channel_to(secure[1], authority.file) as channel:
            fields = infer_fields(cat.read_bytes(), "scores")
            call(channel, "ModelInfer", METADATA, **fields)
            stats = call(channel, "ModelStatistics", METADATA, name=DEFAULT_MODEL).model_stats
            counts.add((stats[0].inference_count, stats[0].last_inference))
        first = [count for count, _ in counts].count(1)
        return first == 2 or len({count for count, _ in counts}) < len(counts)

    wait_until(sees_both)


def test_a_certificate_that_is_renewed_is_used(
    secure: tuple[RunningServer, int], authority: Authority
) -> None:
    before = authority.certificate.read_text()
    url = f"https://127.0.0.1:{secure[1]}"
    assert authority.serves(url)
    authority.issue()
    wait_until(lambda: authority.serves(url))
    assert authority.certificate.read_text() != before
    with channel_to(secure[1], authority.file) as channel:
        assert call(channel, "ServerReady").ready


def test_a_message_that_is_too_large_is_told(
    secure: tuple[RunningServer, int], authority: Authority
) -> None:
    with channel_to(secure[1], authority.file) as channel:
        with pytest.raises(grpc.RpcError, match=f"larger than max .*{MAX_BODY_BYTES}") as caught:
            call(channel, "ModelInfer", METADATA, **infer_fields(b"x" * 2 * MAX_BODY_BYTES))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call(channel, "ServerLive").live


def test_a_key_with_a_password_ends_the_start_with_one_sentence(authority: Authority) -> None:
    settings = {
        **authority.settings,
        "LRPSERVE_TLS_KEY_PASSWORD": "secret",
        "LRPSERVE_GRPC_PORT": str(free_port()),
    }
    assert_one_sentence(run_to_the_end(settings), "TLS_KEY_PASSWORD")


# --- Calls that are given up, and the end


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[RunningServer, Gates, int]]:
    """A server whose batches wait at a gate, without a grace period; and its port of gRPC."""
    port = free_port()
    settings = {
        "LRPSERVE_GRPC_PORT": str(port),
        "LRPSERVE_LOG_FORMAT": "json",
        "LRPSERVE_GRACE_S": "0",
    }
    with gated(tmp_path, "load", settings=settings) as (server, gates):
        yield server, gates, port


def test_a_call_that_is_given_up_costs_nothing(
    waiting: tuple[RunningServer, Gates, int], cat: Path
) -> None:
    server, gates, port = waiting
    fields = infer_fields(cat.read_bytes(), "scores")
    with channel_to(port) as channel:
        first = start(channel, "ModelInfer", fields)
        gates.wait_until_running()
        cancelled = start(channel, "ModelInfer", infer_fields(cat.read_bytes(), "relevance"))
        late = start(channel, "ModelInfer", fields, timeout=1)
        wait_until(late.done)
        cancelled.cancel()
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: len(lines_of(server, 499)) + len(lines_of(server, 504)) == 2)
        gates.open("run")
        assert len(first.result().raw_output_contents) == 1
        assert len(call(channel, "ModelInfer", **fields).raw_output_contents) == 1
    assert (gates.folder / "sizes").read_text() == "1\n1\n"


def test_calls_are_answered_after_the_signal(
    waiting: tuple[RunningServer, Gates, int], cat: Path
) -> None:
    """One waits in the queue, the message of the other has not arrived yet."""
    server, gates, port = waiting
    fields = infer_fields(cat.read_bytes(), "scores")
    content = message_class("ModelInferRequest")(**fields).SerializeToString()

    def messages() -> Iterator[bytes]:
        gates.wait_until_running()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(port))
        gates.open("run")
        yield content

    with channel_to(port) as channel:
        accepted = start(channel, "ModelInfer", fields)
        response = channel.stream_unary(INFER)(messages(), timeout=LIMIT_S)
        assert len(message_class("ModelInferResponse").FromString(response).outputs) == 1
        assert len(accepted.result().raw_output_contents) == 1
    assert server.process.wait(LIMIT_S) == 0


class SlowStop:
    """Stands in for a gRPC server: it has a call for as long as the application does not end."""

    def __init__(self, events: list[str], application_ended: asyncio.Event) -> None:
        self._events, self._ended = events, application_ended

    async def stop(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), 1)
        self._events.append("calls")


def test_the_application_ends_after_the_last_call() -> None:
    events: list[str] = []

    async def scenario(app_state: AppState) -> None:
        ended = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append("application")
            ended.set()
            await send({"type": "lifespan.shutdown.complete"})

        config = uvicorn.Config(application, lifespan="on", log_config=None)
        config.load()
        server = Server(config, app_state)
        server.servers, server.lifespan = [], config.lifespan_class(config)
        await server.lifespan.startup()
        server._grpc = cast("GRPCServer", SlowStop(events, ended))
        await server.shutdown()

    with connect(Settings(), FakeEngine()) as connection:
        connection.run(scenario(connection.app_state))
    assert events == ["calls", "application"]


def is_refused(port: int) -> bool:
    """Whether new connections are refused."""
    try:
        with channel_to(port) as channel:
            call(channel, "ServerLive", {"timeout": 5})
    except grpc.RpcError:
        return True
    return False
