"""Every error has its own problem, and the cause of a failure stays in the log."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service import errors
from service.api.middleware.request_context import Failsafe, RequestContext
from service.api.response.problems import PROBLEM_RESPONSES, TYPE_PREFIX, problem_response
from service.errors import OptionError, OptionProblem, OutOfMemory, ServiceError
from service.metrics import Metrics
from service.runtime.jobs import Job, Result
from service.settings import Settings
from service.worker_state import State
from tests.api.in_process import FakeEngine, connect
from tests.api.sending import problem_of

RAW = {"Content-Type": "image/jpeg"}

STATUSES = {
    "BrokenRequest": 400,
    "NotAnImage": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "ModelNotFound": 404,
    "ModelVersionNotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "RequestTimeout": 408,
    "Conflict": 409,
    "TooLarge": 413,
    "HeadTooLarge": 431,
    "UnsupportedMediaType": 415,
    "OptionError": 422,
    "RelevanceError": 422,
    "LogitsError": 422,
    "LoadError": 422,
    "QueueFull": 429,
    "RateLimited": 429,
    "BodiesFull": 503,
    "Overloaded": 503,
    "RateLimitUnavailable": 503,
    "NotReady": 503,
    "OutOfMemory": 507,
    "Broken": 503,
    "DeadlineExceeded": 504,
    "LoadIncomplete": 504,
    "InternalError": 500,
    "BundleError": 500,
}


def all_errors(root: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from all_errors(kind)


def make(kind: type[ServiceError]) -> ServiceError:
    return OptionError.of("size", "why") if issubclass(kind, OptionError) else kind("why")


# --- the tree


@pytest.mark.parametrize("name", STATUSES)
def test_each_error_has_its_status(name: str) -> None:
    assert getattr(errors, name).status == STATUSES[name]


def test_there_are_no_other_errors() -> None:
    groups = {"RequestError", "Unavailable"}

    assert {kind.__name__ for kind in all_errors()} == set(STATUSES) | groups


@pytest.mark.parametrize("kind", list(all_errors()))
def test_each_error_becomes_a_problem(kind: type[ServiceError]) -> None:
    error = make(kind)
    error.headers["Retry-After"] = "3"

    found = problem_response(error, "an-id")

    own = [("X-Request-ID", "an-id"), ("Server-Timing", "total;dur=1")]  # by the middleware
    headers = [*found.headers.items(), *own]
    answer = httpx.Response(found.status_code, headers=headers, content=bytes(found.body))
    problem = problem_of(answer, kind.status, "why")
    assert problem.type == TYPE_PREFIX + kind.type
    assert (problem.errors is not None) is (kind is OptionError)
    assert answer.headers["retry-after"] == "3"


def test_a_problem_may_quote_a_lone_surrogate() -> None:
    error = OptionError([OptionProblem("\ud800", "no \ud800")])

    assert bytes(problem_response(error, "an-id").body).isascii()


@pytest.mark.parametrize("status", PROBLEM_RESPONSES)
def test_documented_statuses_are_those_of_errors(status: int) -> None:
    assert status in STATUSES.values()


# --- what the framework raises


@pytest.mark.parametrize("path", ["/nothing", "/explain/it", "/%00", "/v3"])
def test_no_such_path(client: httpx.Client, path: str) -> None:
    assert problem_of(client.get(path), 404).type == TYPE_PREFIX + "not-found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/explain", "POST"), ("DELETE", "/predict", "POST"), ("POST", "/models", "GET, HEAD")],
)
def test_no_such_method(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)

    problem_of(answer, 405, path, f"use {allowed}")
    assert answer.headers["allow"] == allowed


# --- failures of ours


SECRET = "the password is 1234"


class BrokenEngine(FakeEngine):
    def answer(self, job: Job) -> Result:
        raise RuntimeError(SECRET)


class SlowEngine(FakeEngine):
    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def answer(self, job: Job) -> Result:
        self.may_go_on.wait(10)
        return super().answer(job)


async def fail(request: Request) -> PlainTextResponse:
    raise RuntimeError(SECRET)


def test_a_500_hides_its_cause_which_is_logged_under_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layers = [Middleware(RequestContext, metrics=Metrics(), deadline_s=60), Middleware(Failsafe)]
    app = Starlette(routes=[Route("/", fail)], middleware=layers)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/", headers={"X-Request-ID": "an-id"})

    answer = asyncio.run(get())

    assert "an-id" in problem_of(answer, 500).detail
    assert "1234" not in answer.text
    record = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert "an-id" in record.getMessage()
    assert SECRET in caplog.text


def test_a_failing_job_is_a_500_and_the_next_is_served(
    photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(Settings(), BrokenEngine()) as broken:
        for _ in range(2):
            answer = broken.request("POST", "/explain", content=photo, headers=RAW)

            problem_of(answer, 500)
            assert "1234" not in answer.text
        assert broken.request("GET", "/healthz").status_code == 200
    assert SECRET in caplog.text


def test_a_full_queue_is_a_429_with_retry_after(photo: bytes) -> None:
    engine = SlowEngine()
    with connect(Settings(queue_size=1, deadline_s=5), engine) as slow:
        threading.Timer(0.5, engine.may_go_on.set).start()
        answers = slow.post_at_once(6, "/predict", content=photo, headers=RAW)

    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= 2  # one that runs, one that waits
    for answer in answers:
        if answer.status_code == 429:
            problem_of(answer, 429, "try again in")
            assert int(answer.headers["retry-after"]) >= 1


def test_the_deadline(photo: bytes) -> None:
    engine = SlowEngine()
    with connect(Settings(deadline_s=0.2), engine) as slow:
        answer = slow.request("POST", "/explain", content=photo, headers=RAW)
        engine.may_go_on.set()

        problem_of(answer, 504, "within 0.2 s", "try again")
        assert slow.request("POST", "/predict", content=photo, headers=RAW).status_code == 200


def test_out_of_memory_is_said_once_with_what_to_lower(photo: bytes) -> None:
    class SmallEngine(FakeEngine):
        def answer(self, job: Job) -> Result:
            raise OutOfMemory("lower the number of `targets`")

    with connect(Settings(), SmallEngine()) as connection:
        answer = connection.request("POST", "/explain", content=photo, headers=RAW)

    assert problem_of(answer, 507, "lower").type == f"{TYPE_PREFIX}out-of-memory"
    assert "retry-after" not in answer.headers


def test_a_503_while_starting_draining_and_broken(photo: bytes) -> None:
    with connect(Settings(), FakeEngine()) as connection:
        for state in (State.STARTING, State.DRAINING, State.BROKEN):
            with connection.state(state):
                answer = connection.request("POST", "/explain", content=photo, headers=RAW)
                problem = problem_of(answer, 503)
                is_broken = state is State.BROKEN
                assert problem.type == TYPE_PREFIX + ("broken" if is_broken else "not-ready")
                assert ("retry-after" in answer.headers) is not is_broken
                ready = connection.request("GET", "/readyz")
                assert (ready.status_code, ready.json()) == (503, {"status": state.value})
                health = connection.request("GET", "/healthz")
                assert health.status_code == (503 if is_broken else 200)

        assert connection.request("POST", "/explain", content=photo, headers=RAW).is_success
