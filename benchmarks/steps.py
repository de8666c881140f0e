"""Where the time of a request goes: microseconds of CPU for each step of `/explain`.

Run by `python -m benchmarks.steps`, with a PNG of 32 x 32 as the raw body and the default answer.
Each step runs alone in this process, on one thread of torch, by the service's own code.
"""

from __future__ import annotations

import asyncio
import io
import logging
import platform
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median, quantiles
from typing import Annotated, Any

import orjson
import torch
import typer
import uvicorn
import uvloop
from rich.console import Console
from rich.table import Table
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from benchmarks.in_process import Answered, Wire, drop, head, receiver, scope_of
from benchmarks.serving import sample
from service.api.request.accept import JSON, choose_format
from service.api.request.body import read_upload
from service.api.request.image import is_small, load_picture
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import ResolvedRequest, resolve
from service.api.response.explanation import ExplanationResponse
from service.app import create_app
from service.imaging.decode import EncodedImage
from service.imaging.fit import FittedImage
from service.logs import TextFormatter
from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.runtime.engines import Engines, load_engines
from service.runtime.jobs import ExplainJob, Explanation
from service.runtime.queue import DeviceQueue
from service.server.protocol import make_protocol
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State

BATCHES = (1, 8, 16)
Step = Callable[[], Awaitable[object]]
console = Console()


@dataclass(frozen=True)
class Sample:
    """A request at each stage of its way."""

    body: bytes
    options: ExplainOptions
    card: ModelCard
    resolved: ResolvedRequest
    image: FittedImage
    explanation: Explanation


def http_step(body: bytes, answer_bytes: int) -> Step:
    """Parse a request and write an answer: all of HTTP but the system's calls."""
    content = bytes(answer_bytes)
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(answer_bytes).encode()))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    config = uvicorn.Config(app, log_config=None, access_log=False)
    config.load()
    protocol: Any = make_protocol(30.0)
    connection = protocol(config, ServerState(), {}, asyncio.get_running_loop())
    wire, request = Wire(), head("/explain", len(body)) + body
    connection.connection_made(wire)

    async def step() -> None:
        wire.has_answer.clear()
        connection.data_received(request)
        await wire.has_answer.wait()

    return step


def framework_step() -> Step:
    """The application around a route that does nothing: routing, ids, timings, counts, the log."""
    app = create_app(Settings(device="cpu"))
    scope = scope_of("GET", "/healthz", 0)

    async def step() -> None:
        await app(dict(scope), receiver(b""), drop)

    return step


def at_once(function: Callable[[], object]) -> Step:
    """A step that never waits."""

    async def step() -> None:
        function()

    return step


def steps_of(one: Sample, queue: DeviceQueue) -> dict[str, Step]:
    """What the event loop does for a request, in its order."""
    scope = scope_of("POST", "/explain", len(one.body))
    answer = ExplanationResponse(one.resolved, one.explanation, one.image)
    part = answer.parts[0]
    fields = answer.full_fields(None)
    n_bytes = len(orjson.dumps(fields))

    def request() -> Request:
        return Request(dict(scope), receiver(one.body))

    def decode() -> object:
        file = EncodedImage(one.body)
        is_small(file, one.options)
        return load_picture(file, one.options, one.card, 40_000_000)

    def find_question() -> object:
        options = parse_options(ExplainOptions, {}, {one.card.name: one.card})
        return resolve(options, one.card, ())

    def assemble() -> object:
        made = ExplanationResponse(one.resolved, one.explanation, one.image)
        return made._common_fields() | made.parts[0].fields()  # noqa: SLF001  all but pictures

    return {
        "parse HTTP, write the answer": http_step(one.body, n_bytes),
        "route, request id, metrics, log": framework_step(),
        "choose the format": at_once(lambda: choose_format(request(), [JSON])),
        "read the body": lambda: read_upload(request(), 10_000_000, 30.0),
        "check the options": at_once(find_question),
        "decode and fit the image": at_once(decode),
        "to the device thread and back": lambda: queue.submit(one.resolved.job(one.image.pixels)),
        "gather the fields": at_once(assemble),
        "draw the heatmap, PNG": at_once(part.heatmap),
        "write JSON": at_once(lambda: orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)),
    }


async def time_step(step: Step, n: int, repeats: int) -> list[float]:
    """Microseconds of CPU, of all threads, each the mean of some repeats."""
    found = []
    for _ in range(n + 1):
        began = time.process_time()
        for _ in range(repeats):
            await step()
        found.append((time.process_time() - began) / repeats * 1e6)
    return found[1:]


def make_sample(engines: Engines, card: ModelCard, body: bytes) -> Sample:
    """Take a request through all of its stages."""
    options = parse_options(ExplainOptions, {}, {card.name: card})
    resolved = resolve(options, card, ())
    image, _ = load_picture(EncodedImage(body), options, card, 40_000_000)
    explanation = engines.engines[card.name].explain([resolved.job(image.pixels)])[0]
    return Sample(body, options, card, resolved, image, explanation)


def time_batches(engines: Engines, job: ExplainJob, n: int) -> dict[str, list[float]]:
    """Microseconds of the engine for an image, in batches of several sizes."""
    found = {}
    for size in BATCHES:
        engines.run([job] * size)
        times = []
        for _ in range(max(5, n // size) + 1):
            began = time.process_time()
            engines.run([job] * size)
            times.append((time.process_time() - began) / size * 1e6)
        found[f"explain, in a batch of {size}"] = times[1:]
    return found


def to_table(found: dict[str, list[float]], title: str) -> Table:
    """Medians and quartiles."""
    table = Table("step", "us", "quartiles", "n", title=title, title_justify="left")
    for name, times in found.items():
        low, _, high = quantiles(times, n=4, method="inclusive")
        table.add_row(name, f"{median(times):.0f}", f"{low:.0f} to {high:.0f}", str(len(times)))
    return table


async def time_loop(one: Sample, n: int) -> dict[str, list[float]]:
    """The steps of the event loop."""
    queue = DeviceQueue([lambda: Answered(one.explanation)], 16, 30.0)
    queue.start()
    while queue.state is not State.READY:  # noqa: ASYNC110  it tells only other threads
        await asyncio.sleep(0.01)
    found = {name: await time_step(step, n, 20) for name, step in steps_of(one, queue).items()}
    queue.close()
    return found


def log_to_nowhere() -> None:
    """Write the log's lines as the service does, but keep none."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("service").addHandler(handler)
    logging.getLogger("service").setLevel(logging.INFO)


def main(n: Annotated[int, typer.Option(help="Samples of each step")] = 50) -> None:
    """Print how long each step takes."""
    torch.set_num_threads(1)
    log_to_nowhere()
    engines = load_engines({DEFAULT_MODEL: find_bundle(DEFAULT_MODEL)}, "cpu")
    card = engines.engines[DEFAULT_MODEL].card
    one = make_sample(engines, card, sample())
    work: Coroutine[Any, Any, dict[str, list[float]]] = time_loop(one, n)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "fastapi", "uvicorn"))
    console.print(f"{platform.machine()}, Python {platform.python_version()}, {versions}")
    found = uvloop.run(work)
    console.print(to_table(found, "CPU on the event loop"))
    console.print(f"together {sum(median(times) for times in found.values()):.0f} us\n")
    job = one.resolved.job(one.image.pixels)
    console.print(to_table(time_batches(engines, job, n), "CPU on the device thread, one image"))


if __name__ == "__main__":
    typer.run(main)
