"""What both clients share: requests in, results out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from lrpserve_client.errors import RequestRefused, ServiceUnreachable, UnreadableAnswer
from lrpserve_client.images import ImageSource, image_bytes
from lrpserve_client.results import (
    Explanation,
    Model,
    Prediction,
    read_explanations,
    read_model,
    read_prediction,
)
from lrpserve_client.retries import Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Exchange(Generic[Result]):
    """A request, and how its answer becomes a result."""

    method: str
    path: str
    read: Callable[[Any, Mapping[str, float]], Result]
    json: Mapping[str, Any] | None = None

    def result(self, outcome: Outcome) -> Result:
        """The result of the last outcome, or its error."""
        if isinstance(outcome, httpx.TransportError):
            raise ServiceUnreachable(_describe(outcome)) from outcome
        answer = _json(outcome)
        if not outcome.is_success:
            raise RequestRefused(answer, outcome.status_code)
        try:
            return self.read(answer, timing_ms(outcome.headers.get("Server-Timing", "")))
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableAnswer(f"{outcome.url} does not answer as lrpserve does") from error


def prediction(image: ImageSource, options: Mapping[str, Any]) -> Exchange[Prediction]:
    """Ask for the classes of an image."""
    return Exchange("POST", "/predict", read_prediction, _body(image, options))


def explanations(
    image: ImageSource, options: Mapping[str, Any]
) -> Exchange[tuple[Explanation, ...]]:
    """Ask for the relevance, and for its picture if nothing else is said."""
    asked = {"output": "heatmap,relevance", **options}
    return Exchange("POST", "/explain", read_explanations, _body(image, asked))


def models() -> Exchange[tuple[Model, ...]]:
    """Ask for all models."""
    return Exchange(
        "GET", "/models", lambda answer, _: tuple(read_model(one) for one in answer["models"])
    )


def model(name: str) -> Exchange[Model]:
    """Ask for one model."""
    return Exchange("GET", f"/models/{quote(name, safe='')}", lambda answer, _: read_model(answer))


def timing_ms(header: str) -> dict[str, float]:
    """The times of `Server-Timing`, by name; what cannot be read is left out."""
    times = {}
    for entry in header.split(","):
        name, _, duration = entry.partition(";dur=")
        try:
            times[name.strip()] = float(duration)
        except ValueError:
            continue
    return times


def _body(image: ImageSource, options: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: _plain(value) for name, value in options.items()}
    return {**plain, "image": base64.b64encode(image_bytes(image)).decode("ascii")}


def _plain(value: Any) -> Any:
    """A value that JSON knows: numpy's numbers, as `argmax` gives them, are not among these."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnreadableAnswer(f"{response.url} answers {response.status_code} without JSON")
    return answer


def _describe(error: httpx.TransportError) -> str:
    where = f"{error.request.url.scheme}://{error.request.url.netloc.decode('ascii')}"
    if isinstance(error, httpx.TimeoutException):
        return f"{where} did not answer in time; give the client a longer timeout_s"
    return f"nothing answers at {where} ({error}); is the service running?"
