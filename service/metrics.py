"""Metrics of the service, for Prometheus.

Any worker answers `/metrics` for all workers (`service.shared_metrics`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from service.errors import DeadlineExceeded, QueueFull
from service.shared_metrics import shared_registry

_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
)
_SIZES = tuple(2.0**n for n in range(9))


class Metrics:
    """The metrics of one application.

    Attributes
    ----------
    requests, request_seconds, stage_seconds
        Responses by route, model, composite and status; their duration; and the duration of each
        stage (`decode`, `queue`, `compute`, `render`).
    jobs
        Jobs by outcome: `done`, `failed`, `rejected` by a full queue, `expired` at the deadline,
        `cancelled` by a disconnect.
    batch_size, queue_depth, ready_workers, device_memory
        Images in a batch; jobs in the queue; workers that are ready; bytes in use on a device.
    cache_lookups
        By `hit` and `miss`.
    model_loads, model_workers
        Models that were loaded while the service runs, by `done` and `failed`; worker processes
        that serve a model, by the hash of its weights.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lrpserve_requests",
            "Responses, by route, model, composite and status",
            ("route", "model", "composite", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "lrpserve_request_seconds",
            "Duration of a request, from its head to the end of its response",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "lrpserve_stage_seconds",
            "Duration of a stage of a request; `compute` is that of its whole batch",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.jobs = Counter(
            "lrpserve_jobs",
            "Jobs for the device, by outcome: done, failed, rejected, expired, cancelled",
            ("outcome",),
            registry=registry,
        )
        self.batch_size = Histogram(
            "lrpserve_batch_size", "Images in a batch", buckets=_SIZES, registry=registry
        )
        self.queue_depth = Gauge(
            "lrpserve_queue_depth",
            "Jobs in the queue",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.ready_workers = Gauge(
            "lrpserve_ready_workers",
            "Workers that are ready",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.device_memory = Gauge(
            "lrpserve_device_memory_bytes",
            "Memory in use on a device; on a CPU, by the process",
            ("device",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.cache_lookups = Counter(
            "lrpserve_cache_lookups",
            "Lookups in the cache of results, by result: hit, miss",
            ("result",),
            registry=registry,
        )
        self.model_loads = Counter(
            "lrpserve_model_loads",
            "Models that a worker has loaded while it serves, by outcome: done, failed",
            ("outcome",),
            registry=registry,
        )
        self.model_workers = Gauge(
            "lrpserve_model_workers",
            "Worker processes that serve a model, by the SHA-256 of its weights",
            ("model", "sha256"),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._served: set[tuple[str, str]] = set()
        for outcome in ("done", "failed"):
            self.model_loads.labels(outcome)
        for outcome in ("done", "failed", "rejected", "expired", "cancelled"):
            self.jobs.labels(outcome)  # exported from the start: a rate needs a zero to begin with
        for result in ("hit", "miss"):
            self.cache_lookups.labels(result)
        ProcessCollector(registry=registry)

    def show_models(self, hashes: Mapping[str, str]) -> None:
        """Show what this process serves: the hashes of the weights, by model."""
        before, self._served = self._served, set(hashes.items())
        for labels in before | self._served:
            self.model_workers.labels(*labels).set(labels in self._served)

    @contextmanager
    def outcome_of_job(self) -> Iterator[None]:
        """Count a job by its outcome."""
        outcome = "failed"
        try:
            yield
            outcome = "done"
        except QueueFull:
            outcome = "rejected"
            raise
        except DeadlineExceeded:
            outcome = "expired"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.jobs.labels(outcome).inc()

    def observe_request(
        self,
        route: str,
        status: int,
        seconds: float,
        stages_ms: Mapping[str, float],
        model: str = "",
        composite: str = "",
    ) -> None:
        """Count a response and its durations."""
        self.requests.labels(route, model, composite, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)
        for stage, ms in stages_ms.items():
            self.stage_seconds.labels(stage).observe(ms / 1e3)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as text, and its media type, by a scraper's `Accept`."""
        registry = shared_registry() or self._registry
        try:
            encode, media_type = choose_encoder(accept)
            return encode(registry), media_type
        except (TypeError, ValueError):  # its reader of versions and of escaping raises these
            encode, media_type = choose_encoder("")
            return encode(registry), media_type
