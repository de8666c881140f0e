"""Requests and the parsing of their responses, for both clients."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from lrpserve_client.errors import RequestRefused, ServiceUnreachable, UnreadableResponse
from lrpserve_client.images import ImageSource, image_bytes
from lrpserve_client.results import (
    Explanation,
    LayersExplanation,
    Model,
    ModelChange,
    Prediction,
    read_change,
    read_explanations,
    read_layers,
    read_model,
    read_prediction,
)
from lrpserve_client.retries import Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Exchange(Generic[Result]):
    """A request, and the function that parses its response."""

    method: str
    path: str
    parse: Callable[[Any, Mapping[str, float]], Result]
    json: Mapping[str, Any] | None = None

    def result(self, outcome: Outcome) -> Result:
        """Parse a response, or raise the error that the outcome is."""
        if isinstance(outcome, httpx.TransportError):
            raise ServiceUnreachable(_describe(outcome)) from outcome
        content = _json(outcome)
        if not outcome.is_success:
            raise RequestRefused(content, outcome.status_code)
        try:
            return self.parse(content, timing_ms(outcome.headers.get("Server-Timing", "")))
        except (KeyError, TypeError, ValueError) as error:
            message = f"the response of {outcome.url} is not one of lrpserve"
            raise UnreadableResponse(message) from error


def predict(image: ImageSource, options: Mapping[str, Any]) -> Exchange[Prediction]:
    """`POST /predict`."""
    return Exchange("POST", "/predict", read_prediction, _body(image, options))


def explain(image: ImageSource, options: Mapping[str, Any]) -> Exchange[tuple[Explanation, ...]]:
    """`POST /explain`, with the heatmap and the relevance unless `output` says otherwise."""
    body = _body(image, _explain_options(options))
    return Exchange("POST", "/explain", read_explanations, body)


def explain_layers(
    image: ImageSource, layers: str | Sequence[str], options: Mapping[str, Any]
) -> Exchange[tuple[LayersExplanation, ...]]:
    """`POST /explain` with `layers`; see `explain`."""
    names = layers if isinstance(layers, str) else list(layers)
    body = _body(image, {**_explain_options(options), "layers": names})
    return Exchange("POST", "/explain", read_layers, body)


def _explain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("layers") is not None:
        raise TypeError("several layers have a method of their own: explain_layers(image, layers)")
    return {"output": "heatmap,relevance", **options}


def predict_all(
    images: Sequence[ImageSource], options: Mapping[str, Any]
) -> Exchange[list[Prediction | RequestRefused]]:
    """`POST /predict` with several images."""
    body = _list_body(images, options)
    return Exchange("POST", "/predict", partial(_read_results, read_prediction), body)


def explain_all(
    images: Sequence[ImageSource], options: Mapping[str, Any]
) -> Exchange[list[Explanation | RequestRefused]]:
    """`POST /explain` with several images; see `explain`."""
    if options.get("targets") is not None:
        raise TypeError("several targets are for explain and explain_layers")
    body = _list_body(images, _explain_options(options))
    return Exchange("POST", "/explain", partial(_read_results, _read_explanation), body)


def _read_explanation(content: Mapping[str, Any], timing: Mapping[str, float]) -> Explanation:
    return read_explanations(content, timing)[0]


def _read_results(
    read: Callable[[Any, Mapping[str, float]], Result], content: Any, timing: Mapping[str, float]
) -> list[Result | RequestRefused]:
    """Parse the results of several images; that of an image which failed is its error."""
    return [
        read(result, timing)
        if result["status"] == httpx.codes.OK
        else RequestRefused(result, result["status"])
        for result in content["results"]
    ]


def models() -> Exchange[tuple[Model, ...]]:
    """`GET /models`."""
    return Exchange("GET", "/models", lambda content, _: tuple(map(read_model, content["models"])))


def model(name: str) -> Exchange[Model]:
    """`GET /models/{name}`."""
    return Exchange(
        "GET", f"/models/{quote(name, safe='')}", lambda content, _: read_model(content)
    )


def reload(name: str) -> Exchange[ModelChange]:
    """`POST /models/{name}/reload`."""
    path = f"/models/{quote(name, safe='')}/reload"
    return Exchange("POST", path, lambda content, _: read_change(content))


def timing_ms(header: str) -> dict[str, float]:
    """The durations of a `Server-Timing` header, by name; malformed entries are left out."""
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
    return {**plain, "image": _base64(image)}


def _list_body(images: Sequence[ImageSource], options: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: _plain(value) for name, value in options.items()}
    return {**plain, "images": [_base64(image) for image in images]}


def _base64(image: ImageSource) -> str:
    return base64.b64encode(image_bytes(image)).decode("ascii")


def _plain(value: Any) -> Any:
    """A value that `json` can encode: numpy's scalars become numbers."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UnreadableResponse(f"{response.url} responded {response.status_code} without JSON")
    return content


def _describe(error: httpx.TransportError) -> str:
    address = f"{error.request.url.scheme}://{error.request.url.netloc.decode('ascii')}"
    if isinstance(error, httpx.TimeoutException):
        return f"no response from {address} in time; give the client a longer timeout_s"
    return f"no connection to {address} ({error}); is the service running?"
