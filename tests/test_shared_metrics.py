"""Metrics of several processes: each counts in memory, any of them reads the sums."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.connection import Connection

from service.metrics import Metrics
from service.shared_metrics import SharedMetrics
from tests.helpers.requests import find_metric

N_MODELS = 2_000  # whose counters need more than the initial size of a file
SPAWN = get_context("spawn")


def count(shared: SharedMetrics, worker: int, n: int, sender: Connection) -> None:
    """Count `n` requests in a process of a worker, and send all metrics."""
    shared.use(worker)
    metrics = Metrics()
    for model in range(n):
        metrics.observe_request("/predict", 200, 0.5, {}, f"model-{model}")
    metrics.queue_depth.set(n)
    sender.send(metrics.exposition("text/plain")[0].decode())


def exposition_after(shared: SharedMetrics, worker: int, n: int) -> str:
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=count, args=(shared, worker, n, sender))
    process.start()
    text: str = receiver.recv()
    process.join(60)
    return text


def test_the_metrics_of_all_workers_are_summed_and_those_of_the_dead_go_on() -> None:
    shared = SharedMetrics(2)
    exposition_after(shared, 0, 3)
    text = exposition_after(shared, 1, 2)
    assert find_metric(text, 'lrpserve_request_seconds_count{route="/predict"}') == 5
    assert find_metric(text, "lrpserve_queue_depth") == 5
    shared.forget_gauges(0)
    text = exposition_after(shared, 1, N_MODELS)
    assert find_metric(text, 'lrpserve_request_seconds_count{route="/predict"}') == 5 + N_MODELS
    assert find_metric(text, "lrpserve_queue_depth") == N_MODELS
    assert text.count("lrpserve_requests_total{") == N_MODELS
