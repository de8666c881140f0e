"""An application in this process, with an engine of the test's choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

import service.app
from service.api.request.accept import JSON
from service.api.state import AppState
from service.app import create_app
from service.evidence.findings import Findings
from service.lrp.passes import Passes
from service.methods import Start
from service.runtime.batcher import Outcomes
from service.runtime.jobs import (
    Attribution,
    ExplainJob,
    Explanation,
    Floats,
    Job,
    LayerInfo,
    LayerRelevance,
    Prediction,
    Result,
)
from service.runtime.queue import DeviceQueue
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.sending import text_of

N_CLASSES = 10
T = TypeVar("T")


INFOS = (
    LayerInfo("classifier", "Linear", (12,)),
    LayerInfo("features.0", "Conv2d", (8, 16, 16)),
    LayerInfo("input", "Image", (3, 32, 32)),
)


FINDINGS = Findings(
    patch=16,
    hidden=(0.0, 0.25, 1.0),
    most_relevant_first=(2.0, -1.0, -2.0),
    least_relevant_first=(2.0, 3.0, -2.0),
    random=((2.0, 0.5, -2.0), (2.0, 1.0, -2.0)),
    has_order=True,
    similarities=(0.9, 0.8),
    n_forwards=75,
)


class FakeEngine:
    """Answers at once, with random but fixed numbers; notes what it was asked for."""

    device_name = "no device"

    def __init__(self, *models: str) -> None:
        self.models, self.layers = models or (DEFAULT_MODEL,), INFOS
        self.default_starts: Mapping[str, Start] = {}
        self.jobs: list[Job] = []
        self.is_closed = False

    def best_batch_size(self, job: Job) -> int:
        """The largest batch."""
        return 4

    def memory_bytes(self) -> int:
        """Memory in use."""
        return 1

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        """Answer jobs in one pass."""
        yield from ()
        return [self.answer(job) for job in jobs]

    def check_device(self) -> None:
        """Work."""

    def close(self) -> None:
        """Note that it is not used any more."""
        self.is_closed = True

    def relevance_at(self, layer: str, job: ExplainJob) -> Floats:
        """Relevance of a layer, summed over its channels or not."""
        info = next(one for one in self.layers if one.name == layer)
        is_summed = job.method.sums_channels and info.has_space
        shape = info.shape[1:] if is_summed else info.shape
        return np.random.default_rng(len(layer)).normal(size=shape).astype(np.float32)

    def answer(self, job: Job) -> Result:
        """Answer a job."""
        self.jobs.append(job)
        random = np.random.default_rng(0)
        logits = random.normal(size=N_CLASSES).astype(np.float32)
        if not isinstance(job, ExplainJob):
            return Prediction(logits)
        predicted = int(logits.argmax())
        shape = next(one.shape for one in self.layers if one.name == job.method.layer)
        found = tuple(
            Attribution(
                predicted if target is None else target,
                random.normal(size=shape).astype(np.float32),
                total=1.0,
                by_layer=(LayerRelevance("classifier", 0.75),) if job.method.conserves else None,
                layers={name: self.relevance_at(name, job) for name in job.method.layers},
                findings=FINDINGS if job.has_evidence else None,
            )
            for target in job.targets
        )
        return Explanation(
            logits,
            found,
            start=job.start or "logit",
            engine="fake",
            layers_without_rule=("features.9",),
        )


class Connection:
    """Sends requests to an application without a socket; its life is that of `connect`."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner, queue: DeviceQueue) -> None:
        self._runner, self._queue = runner, queue
        self.app_state: AppState = app.state.lrpserve
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://service")

    @contextmanager
    def state(self, state: State) -> Iterator[None]:
        """Pretend that the device is in another state."""
        before, self._queue.state = self._queue.state, state
        yield
        self._queue.state = before

    @contextmanager
    def loading_by(self, load: Callable[..., Any]) -> Iterator[None]:
        """Load models by another function; it ends before `connect`, which patches the same one."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(service.app, "_load_engines", load)
            yield

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Pretend that nothing is loaded yet."""
        before, self._queue.layers = self._queue.layers, {}
        with self.state(State.STARTING):
            yield
        self._queue.layers = before

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop of the application."""
        return self._runner.run(coroutine)

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send one request."""
        return self.run(self.client.request(method, path, **content))

    def post_at_once(self, n: int, path: str, **content: Any) -> list[httpx.Response]:
        """Send the same request several times without waiting between them."""

        async def send_all() -> list[httpx.Response]:
            return await asyncio.gather(*(self.client.post(path, **content) for _ in range(n)))

        return self.run(send_all())


@contextmanager
def connect(settings: Settings, engine: FakeEngine) -> Iterator[Connection]:
    """Start an application with an engine, wait until it is ready, and end it."""
    with pytest.MonkeyPatch.context() as patch:

        def load(folders: Mapping[str, Path], *others: object) -> dict[str, FakeEngine]:
            return {name: engine for name in engine.models if name in folders}

        patch.setattr(service.app, "_load_engines", load)
        loaded: list[AppState] = []
        app = create_app(settings, loaded.append)
        with asyncio.Runner() as runner:
            lifespan = app.router.lifespan_context(app)
            runner.run(lifespan.__aenter__())
            while not loaded:
                runner.run(asyncio.sleep(0.01))
            connection = Connection(app, runner, loaded[0].queue)
            yield connection
            runner.run(connection.client.aclose())
            runner.run(lifespan.__aexit__(None, None, None))


def explain(connection: Connection, photo: bytes, /, **options: Any) -> httpx.Response:
    """Send an image to `/explain`, with the options in the query."""
    return explain_as(JSON, connection, photo, **options)


def explain_as(
    accept: str, connection: Connection, photo: bytes, /, **options: Any
) -> httpx.Response:
    """Send an image to `/explain` and accept a format."""
    params = {name: text_of(value) for name, value in options.items()}
    headers = {"Accept": accept, "Content-Type": "image/jpeg"}
    return connection.request("POST", "/explain", content=photo, params=params, headers=headers)
