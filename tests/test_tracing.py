"""Traces of a real server, as a collector gets them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from service.api.protocols.open_inference_grpc.calls import SERVICE
from service.settings import DEFAULT_MODEL
from tests.helpers.collector import Collector, Exported, running_collector
from tests.helpers.conditions import wait_until
from tests.helpers.grpc_calls import call, channel_to, infer_fields
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    run_to_the_end,
    running_server,
)
from tests.helpers.sockets import free_port

STAGES = ["decode", "queue", "compute", "render"]
PARENT_ID = "b7ad6b7169203331"
OK, ERROR = 0, 2  # codes of a span's status: unset, and an error
SLOW = "/explain?attributor=smooth_grad&n_samples=128"
GRPC_PORT = free_port()
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[RunningServer]:
    """A server with two workers that exports to the collector, and logs JSON."""
    settings = {
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "LRPSERVE_LOG_FORMAT": "json",
        "LRPSERVE_WORKERS": "2",
        "LRPSERVE_GRPC_PORT": str(GRPC_PORT),
    }
    with running_server(tmp_path_factory.mktemp("traced"), settings) as server:
        yield server


def new_trace() -> tuple[str, dict[str, str]]:
    """The id of a new trace, and the headers of a request that belongs to it."""
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{PARENT_ID}-01", "Content-Type": "image/jpeg"}
    return trace_id, headers


def log_line(server: RunningServer, trace_id: str) -> dict[str, Any]:
    """The line of the log that has the id of a trace."""
    wait_until(lambda: f'"{trace_id}"' in server.read_output())
    lines = server.read_output().splitlines()
    (line,) = [line for line in lines if f'"{trace_id}"' in line]
    return dict(json.loads(line))


def explain(server: RunningServer, cat: Path, path: str = "/explain") -> tuple[str, httpx.Response]:
    trace_id, headers = new_trace()
    url = f"{server.url}{path}"
    return trace_id, httpx.post(url, content=cat.read_bytes(), headers=headers, timeout=60)


def test_each_stage_is_a_child_of_the_request_and_that_of_its_caller(
    traced: RunningServer, collector: Collector, cat: Path
) -> None:
    trace_id, response = explain(traced, cat)
    assert response.status_code == 200
    server, *stages = collector.wait_for(trace_id, 5)
    assert (server.name, server.parent_id) == ("POST /explain", PARENT_ID)
    assert server.span.kind == 2  # a server's
    assert [stage.name for stage in stages] == STAGES
    assert {stage.parent_id for stage in stages} == {server.span_id}
    assert len({exported.span_id for exported in (server, *stages)}) == 5
    assert all(exported.span.status.code == OK for exported in (server, *stages))


def test_a_call_of_grpc_has_the_same_stages(
    traced: RunningServer, collector: Collector, cat: Path
) -> None:
    trace_id, headers = new_trace()
    metadata = {"metadata": (("traceparent", headers["traceparent"]),)}
    with channel_to(GRPC_PORT) as channel:
        fields = infer_fields(cat.read_bytes(), "relevance")
        call(channel, "ModelInfer", metadata, **fields)
    server, *stages = collector.wait_for(trace_id, 5)
    assert (server.name, server.parent_id) == (f"{SERVICE}/ModelInfer", PARENT_ID)
    assert server.span.kind == 2  # a server's
    assert [stage.name for stage in stages][:4] == STAGES
    assert {stage.parent_id for stage in stages} == {server.span_id}
    attributes = server.attributes
    assert (attributes["rpc.method"], attributes["rpc.grpc.status_code"]) == ("ModelInfer", 0)
    assert attributes["lrpserve.model"] == DEFAULT_MODEL
    assert log_line(traced, trace_id)["span_id"] == server.span_id


def test_an_error_of_grpc_is_in_the_trace_and_the_log(
    traced: RunningServer, collector: Collector
) -> None:
    trace_id, headers = new_trace()
    metadata = {"metadata": (("traceparent", headers["traceparent"]),)}
    with channel_to(GRPC_PORT) as channel, pytest.raises(grpc.RpcError):
        call(channel, "ModelInfer", metadata, **infer_fields(b"no image"))
    server = collector.wait_for(trace_id, 1)[0]
    wait_until(lambda: server.name in [each.name for each in collector.trace(trace_id)])
    (root,) = [each for each in collector.trace(trace_id) if each.name.endswith("ModelInfer")]
    assert root.attributes["error.type"] == "not-an-image"
    assert root.attributes["rpc.grpc.status_code"] == 3  # INVALID_ARGUMENT
    assert root.span.status.code == OK
    assert log_line(traced, trace_id)["problem"] == "not-an-image"


def test_the_stages_follow_each_other_within_the_request(
    traced: RunningServer, collector: Collector, cat: Path
) -> None:
    trace_id, response = explain(traced, cat)
    server, *stages = (exported.span for exported in collector.wait_for(trace_id, 5))
    times = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in stages]
    assert times == sorted(times)
    assert server.start_time_unix_nano <= times[0][0]
    assert times[-1][1] <= server.end_time_unix_nano
    header = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    for name, (began, ended) in zip(STAGES, times, strict=True):
        assert (ended - began) / 1e6 == pytest.approx(float(header[name]), abs=1.0)


def test_attributes_have_the_names_of_the_conventions(
    traced: RunningServer, collector: Collector, cat: Path
) -> None:
    trace_id, response = explain(traced, cat, "/explain?composite=epsilon_plus")
    server, _, _, compute, _ = collector.wait_for(trace_id, 5)
    attributes = server.attributes
    port = int(traced.url.rpartition(":")[2])
    assert attributes["http.request.method"] == "POST"
    assert attributes["http.route"] == attributes["url.path"] == "/explain"
    assert attributes["url.query"] == "composite=epsilon_plus"
    assert attributes["http.response.status_code"] == 200
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", port)
    assert attributes["client.address"] == "127.0.0.1"
    assert attributes["user_agent.original"].startswith("python-httpx/")
    assert attributes["lrpserve.composite"] == "epsilon_plus"
    assert attributes["lrpserve.request_id"] == response.headers["x-request-id"]
    assert compute.attributes["lrpserve.batch_size"] == 1
    assert server.resource["service.name"] == "lrpserve"


def test_the_log_has_the_ids_of_the_span(
    traced: RunningServer, collector: Collector, cat: Path
) -> None:
    trace_id, _ = explain(traced, cat)
    server = collector.wait_for(trace_id, 5)[0]
    assert log_line(traced, trace_id)["span_id"] == server.span_id


def test_an_image_that_cannot_be_decoded_is_an_error_of_that_stage(
    traced: RunningServer, collector: Collector
) -> None:
    trace_id, headers = new_trace()
    httpx.post(f"{traced.url}/explain", content=b"no image", headers=headers)
    server, decode = collector.wait_for(trace_id, 2)
    assert (decode.name, decode.span.status.code) == ("decode", ERROR)
    assert decode.attributes["error.type"] == "not-an-image"
    assert [event.name for event in decode.span.events] == ["exception"]
    assert server.span.status.code == OK  # it is the client's error
    assert server.attributes["error.type"] == "not-an-image"
    assert log_line(traced, trace_id)["problem"] == "not-an-image"


def test_probes_and_metrics_have_no_spans(traced: RunningServer, collector: Collector) -> None:
    untraced = ("/healthz", "/readyz", "/metrics")
    for path in (*untraced, "/models"):
        _, headers = new_trace()
        httpx.get(f"{traced.url}{path}", headers=headers)
    wait_until(lambda: "GET /models" in names(collector.spans))
    assert not names(collector.spans) & {f"GET {path}" for path in untraced}


def names(spans: list[Exported]) -> set[str]:
    return {exported.name for exported in spans}


def test_a_trace_that_is_not_sampled_is_not_exported_but_logged(
    traced: RunningServer, collector: Collector
) -> None:
    (unsampled, headers), (sampled, others) = new_trace(), new_trace()
    headers["traceparent"] = headers["traceparent"].removesuffix("01") + "00"
    httpx.get(f"{traced.url}/models", headers=headers)
    httpx.get(f"{traced.url}/models", headers=others)
    collector.wait_for(sampled, 1)
    assert log_line(traced, unsampled)
    assert collector.trace(unsampled) == []


def test_every_worker_exports_its_last_spans_when_it_ends(tmp_path: Path, cat: Path) -> None:
    settings = {
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        "OTEL_SERVICE_NAME": "heatmaps",
        "LRPSERVE_WORKERS": "2",
        "LRPSERVE_DEADLINE_S": "0.05",
    }
    with running_collector() as collector:
        settings["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector.url}/v1/traces"
        with running_server(tmp_path, settings) as server:
            for _ in range(30):
                httpx.get(f"{server.url}/models")
            trace_id, response = explain(server, cat, SLOW)
            assert response.status_code == 504
            assert collector.spans == []
            assert server.stop() == 0
        assert sum(exported.name == "GET /models" for exported in collector.spans) == 30
        assert len({exported.resource["process.pid"] for exported in collector.spans}) == 2
        assert {exported.resource["service.name"] for exported in collector.spans} == {"heatmaps"}
        assert_expired(collector.trace(trace_id))


def assert_expired(trace: list[Exported]) -> None:
    """Check the trace of a request that has passed its deadline."""
    root, *stages = trace
    assert [stage.name for stage in stages] == ["decode", "queue"]
    for exported in (root, stages[-1]):
        assert exported.span.status.code == ERROR
        assert exported.attributes["error.type"] == "deadline-exceeded"


def test_requests_do_not_wait_for_a_collector_that_is_down(tmp_path: Path, cat: Path) -> None:
    with running_collector() as collector:
        settings = {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    # from the first try to the last: the exporter names no reason where it cannot try twice, and it
    # waits for up to 1.2 s in between
    settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "2"
    with running_server(tmp_path, settings) as server:
        assert explain(server, cat)[1].status_code == 200
        wait_until(lambda: "traces cannot be exported" in server.read_output())
        assert explain(server, cat)[1].status_code == 200
        with running_collector(collector.server_port):
            httpx.get(f"{server.url}/models")
            wait_until(lambda: "traces are exported again" in server.read_output())
        httpx.get(f"{server.url}/models")
        assert server.stop() == 0
        log = server.read_output()
    assert log.count("traces cannot be exported") in (1, 2)  # the last span may be one
    assert "Connection refused" in log
    assert "opentelemetry" not in log  # no lines of the libraries
    assert "Traceback" not in log


def test_without_tracing_the_log_has_the_ids_of_the_caller(
    server: RunningServer, cat: Path
) -> None:
    trace_id, response = explain(server, cat)
    assert response.status_code == 200
    wait_until(lambda: f"trace_id={trace_id} span_id={PARENT_ID}" in server.read_output())


@pytest.mark.parametrize("sent", ["", "00-" + "0" * 32 + f"-{PARENT_ID}-01", "ff-x", "a" * 5000])
def test_a_broken_traceparent_is_ignored(server: RunningServer, sent: str) -> None:
    headers = {"traceparent": sent, "X-Request-ID": secrets.token_hex(8)}
    assert httpx.get(f"{server.url}/models", headers=headers).status_code == 200
    wait_until(lambda: headers["X-Request-ID"] in server.read_output())
    (line,) = [x for x in server.read_output().splitlines() if headers["X-Request-ID"] in x]
    assert "trace_id" not in line


@pytest.mark.parametrize(
    "settings", [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}]
)
def test_an_unknown_exporter_is_one_sentence(settings: dict[str, str]) -> None:
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert_one_sentence(run_to_the_end(on | settings), "no exporter of traces")
