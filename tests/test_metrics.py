"""The metrics: what is counted, and how it is shown."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import DeadlineExceeded, InternalError, NotReady, QueueFull
from service.metrics import Metrics

OUTCOMES: dict[str, BaseException | None] = {
    "done": None,
    "rejected": QueueFull("full"),
    "expired": DeadlineExceeded("late"),
    "cancelled": asyncio.CancelledError(),
    "failed": InternalError("broken"),
}


def values(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text, media_type = metrics.exposition("text/plain")
    assert media_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return values(metrics)[name, frozenset(labels.items())]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_of_a_job_is_counted_and_exported_from_the_start(outcome: str) -> None:
    metrics, error = Metrics(), OUTCOMES[outcome]
    assert value(metrics, "lrpserve_jobs_total", outcome=outcome) == 0
    with (
        pytest.raises(type(error)) if error else nullcontext(),
        metrics.outcome_of_job(),
    ):
        if error:
            raise error
    counted = {name: value(metrics, "lrpserve_jobs_total", outcome=name) for name in OUTCOMES}
    assert counted == dict.fromkeys(OUTCOMES, 0.0) | {outcome: 1.0}


def test_a_job_that_is_refused_while_starting_has_failed() -> None:
    metrics = Metrics()
    with pytest.raises(NotReady), metrics.outcome_of_job():
        raise NotReady("starting")
    assert value(metrics, "lrpserve_jobs_total", outcome="failed") == 1


def test_a_request_is_counted_with_its_times_in_seconds() -> None:
    metrics = Metrics()
    metrics.observe_request("/explain", 200, 0.25, {"compute": 125.0}, "a-model", "a-composite")
    labels = {"route": "/explain", "model": "a-model", "composite": "a-composite", "status": "200"}
    assert value(metrics, "lrpserve_requests_total", **labels) == 1
    assert value(metrics, "lrpserve_request_seconds_sum", route="/explain") == 0.25
    assert value(metrics, "lrpserve_stage_seconds_sum", stage="compute") == 0.125


@pytest.mark.parametrize("parameter", ["version=\xff", "version=1.x", "version=1.0.0;escaping=x"])
def test_a_header_that_cannot_be_read_gets_the_text_format(parameter: str) -> None:
    text, _ = Metrics().exposition(f"application/openmetrics-text; {parameter}")
    assert text


def test_openmetrics_is_served_to_clients_that_accept_it() -> None:
    text, media_type = Metrics().exposition("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_applications_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.queue_depth.set(3)
    assert value(second, "lrpserve_queue_depth") == 0
