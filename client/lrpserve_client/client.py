"""The clients, blocking and asyncio: they send requests, and sleep between retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, overload

import httpx

from lrpserve_client import exchange
from lrpserve_client.errors import RequestRefused
from lrpserve_client.exchange import Exchange, Result
from lrpserve_client.images import ImageSource
from lrpserve_client.results import (
    Explanation,
    LayersExplanation,
    Model,
    ModelChange,
    Prediction,
)
from lrpserve_client.retries import Outcome, Retries

Layers = str | Sequence[str]
Targets = Sequence[str | int]


class Client:
    """A client for scripts and notebooks; a context manager that closes its connections.

    Parameters
    ----------
    url : str
        The address of the service.
    api_key : str, optional
        Sent as `Authorization: Bearer`.
    timeout_s : float
        For each step of a request: connecting, sending, waiting for the response.
    max_retries : int
        How often a request is sent again while the service is busy or starts, or when no
        connection could be made.
    max_wait_s : float
        Bound of all pauses between the retries of a request.
    transport : httpx.BaseTransport, optional
        Replaces the network, in tests for example.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 5,
        max_wait_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = Retries(max_retries, max_wait_s)
        self._http = httpx.Client(
            base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    def predict(self, image: ImageSource, **options: Any) -> Prediction:
        """Predict the best classes of an image; the options are those of `/predict`."""
        return self._run(exchange.predict(image, options))

    @overload
    def explain(
        self, image: ImageSource, *, targets: Targets, **options: Any
    ) -> tuple[Explanation, ...]: ...
    @overload
    def explain(
        self, image: ImageSource, *, targets: None = None, **options: Any
    ) -> Explanation: ...
    def explain(
        self, image: ImageSource, *, targets: Targets | None = None, **options: Any
    ) -> Explanation | tuple[Explanation, ...]:
        """Explain one class, or each of `targets`; the options are those of `/explain`."""
        if targets is not None:
            return self._run(exchange.explain(image, {**options, "targets": list(targets)}))
        return self._run(exchange.explain(image, options))[0]

    @overload
    def explain_layers(
        self, image: ImageSource, layers: Layers = "all", *, targets: Targets, **options: Any
    ) -> tuple[LayersExplanation, ...]: ...
    @overload
    def explain_layers(
        self, image: ImageSource, layers: Layers = "all", *, targets: None = None, **options: Any
    ) -> LayersExplanation: ...
    def explain_layers(
        self,
        image: ImageSource,
        layers: Layers = "all",
        *,
        targets: Targets | None = None,
        **options: Any,
    ) -> LayersExplanation | tuple[LayersExplanation, ...]:
        """Explain a class, or each of `targets`, at all layers or those of these names."""
        if targets is not None:
            options["targets"] = list(targets)
            return self._run(exchange.explain_layers(image, layers, options))
        return self._run(exchange.explain_layers(image, layers, options))[0]

    def predict_all(
        self, images: Sequence[ImageSource], **options: Any
    ) -> list[Prediction | RequestRefused]:
        """Predict several images in one request; see `explain_all`."""
        return self._run(exchange.predict_all(images, options))

    def explain_all(
        self, images: Sequence[ImageSource], **options: Any
    ) -> list[Explanation | RequestRefused]:
        """Explain several images in one request, with the same options for all.

        Returns the results in the order of the images; that of an image which the service refused
        is the error, which a loop may raise. `limits.max_images` of `/models` bounds their number.
        """
        return self._run(exchange.explain_all(images, options))

    def models(self) -> tuple[Model, ...]:
        """List the models that are served."""
        return self._run(exchange.models())

    def model(self, name: str) -> Model:
        """Describe a model."""
        return self._run(exchange.model(name))

    def reload(self, name: str) -> ModelChange:
        """Load the bundle of a model again, or a new one; needs an API key."""
        return self._run(exchange.reload(name))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, request: Exchange[Result]) -> Result:
        attempts = self._retries.attempts()
        pause_s = next(attempts)
        while True:
            time.sleep(pause_s)
            outcome = self._send(request)
            try:
                pause_s = attempts.send(outcome)
            except StopIteration as last:
                return request.result(last.value)

    def _send(self, request: Exchange[Any]) -> Outcome:
        try:
            return self._http.request(request.method, request.path, json=request.json)
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """The client for asyncio: `Client` with methods that are awaited."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 5,
        max_wait_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = Retries(max_retries, max_wait_s)
        self._http = httpx.AsyncClient(
            base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def predict(self, image: ImageSource, **options: Any) -> Prediction:
        """Predict the best classes of an image; the options are those of `/predict`."""
        return await self._run(exchange.predict(image, options))

    @overload
    async def explain(
        self, image: ImageSource, *, targets: Targets, **options: Any
    ) -> tuple[Explanation, ...]: ...
    @overload
    async def explain(
        self, image: ImageSource, *, targets: None = None, **options: Any
    ) -> Explanation: ...
    async def explain(
        self, image: ImageSource, *, targets: Targets | None = None, **options: Any
    ) -> Explanation | tuple[Explanation, ...]:
        """Explain one class, or each of `targets`; the options are those of `/explain`."""
        if targets is not None:
            several = exchange.explain(image, {**options, "targets": list(targets)})
            return await self._run(several)
        return (await self._run(exchange.explain(image, options)))[0]

    @overload
    async def explain_layers(
        self, image: ImageSource, layers: Layers = "all", *, targets: Targets, **options: Any
    ) -> tuple[LayersExplanation, ...]: ...
    @overload
    async def explain_layers(
        self, image: ImageSource, layers: Layers = "all", *, targets: None = None, **options: Any
    ) -> LayersExplanation: ...
    async def explain_layers(
        self,
        image: ImageSource,
        layers: Layers = "all",
        *,
        targets: Targets | None = None,
        **options: Any,
    ) -> LayersExplanation | tuple[LayersExplanation, ...]:
        """Explain a class, or each of `targets`, at all layers or those of these names."""
        if targets is not None:
            options["targets"] = list(targets)
            return await self._run(exchange.explain_layers(image, layers, options))
        return (await self._run(exchange.explain_layers(image, layers, options)))[0]

    async def predict_all(
        self, images: Sequence[ImageSource], **options: Any
    ) -> list[Prediction | RequestRefused]:
        """Predict several images in one request; see `explain_all`."""
        return await self._run(exchange.predict_all(images, options))

    async def explain_all(
        self, images: Sequence[ImageSource], **options: Any
    ) -> list[Explanation | RequestRefused]:
        """Explain several images in one request, with the same options for all.

        Returns the results in the order of the images; that of an image which the service refused
        is the error, which a loop may raise. `limits.max_images` of `/models` bounds their number.
        """
        return await self._run(exchange.explain_all(images, options))

    async def models(self) -> tuple[Model, ...]:
        """List the models that are served."""
        return await self._run(exchange.models())

    async def model(self, name: str) -> Model:
        """Describe a model."""
        return await self._run(exchange.model(name))

    async def reload(self, name: str) -> ModelChange:
        """Load the bundle of a model again, or a new one; needs an API key."""
        return await self._run(exchange.reload(name))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, request: Exchange[Result]) -> Result:
        attempts = self._retries.attempts()
        pause_s = next(attempts)
        while True:
            await asyncio.sleep(pause_s)
            outcome = await self._send(request)
            try:
                pause_s = attempts.send(outcome)
            except StopIteration as last:
                return request.result(last.value)

    async def _send(self, request: Exchange[Any]) -> Outcome:
        try:
            return await self._http.request(request.method, request.path, json=request.json)
        except httpx.TransportError as error:
            return error


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
