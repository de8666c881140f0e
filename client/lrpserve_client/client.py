"""The clients: they send and sleep, one on a thread, the other on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, overload

import httpx

from lrpserve_client import exchange
from lrpserve_client.exchange import Exchange, Result
from lrpserve_client.images import ImageSource
from lrpserve_client.results import Explanation, Model, Prediction
from lrpserve_client.retries import Outcome, Retries


class Client:
    """Ask a service; use it as a context manager, or call `close`.

    Parameters
    ----------
    url : str
        Where the service is.
    api_key : str, optional
        Sent as `Authorization: Bearer`.
    timeout_s : float
        For each step of a request: to connect, to send, to wait for the answer.
    max_retries, max_wait_s
        How often a request is sent again after a 429, while the service starts, or when the
        connection cannot be made; and the most seconds of pauses between.
    transport : httpx.BaseTransport, optional
        What sends instead of the network.
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
        """Ask for the best classes of an image; options as `/predict` has them."""
        return self._ask(exchange.prediction(image, options))

    @overload
    def explain(
        self, image: ImageSource, *, targets: Sequence[str | int], **options: Any
    ) -> tuple[Explanation, ...]: ...
    @overload
    def explain(
        self, image: ImageSource, *, targets: None = None, **options: Any
    ) -> Explanation: ...
    def explain(
        self, image: ImageSource, *, targets: Sequence[str | int] | None = None, **options: Any
    ) -> Explanation | tuple[Explanation, ...]:
        """Ask for the relevance of one class, or of each in `targets`; options as `/explain`'s."""
        if targets is not None:
            return self._ask(exchange.explanations(image, {**options, "targets": list(targets)}))
        return self._ask(exchange.explanations(image, options))[0]

    def models(self) -> tuple[Model, ...]:
        """All models that are served."""
        return self._ask(exchange.models())

    def model(self, name: str) -> Model:
        """One of them."""
        return self._ask(exchange.model(name))

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

    def _ask(self, asked: Exchange[Result]) -> Result:
        attempts = self._retries.attempts()
        pause_s = next(attempts)
        while True:
            time.sleep(pause_s)
            outcome = self._send(asked)
            try:
                pause_s = attempts.send(outcome)
            except StopIteration as last:
                return asked.result(last.value)

    def _send(self, asked: Exchange[Any]) -> Outcome:
        try:
            return self._http.request(asked.method, asked.path, json=asked.json)
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """`Client` for an event loop: the same arguments and methods, which are awaited."""

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
        """Ask for the best classes of an image; options as `/predict` has them."""
        return await self._ask(exchange.prediction(image, options))

    @overload
    async def explain(
        self, image: ImageSource, *, targets: Sequence[str | int], **options: Any
    ) -> tuple[Explanation, ...]: ...
    @overload
    async def explain(
        self, image: ImageSource, *, targets: None = None, **options: Any
    ) -> Explanation: ...
    async def explain(
        self, image: ImageSource, *, targets: Sequence[str | int] | None = None, **options: Any
    ) -> Explanation | tuple[Explanation, ...]:
        """Ask for the relevance of one class, or of each in `targets`; options as `/explain`'s."""
        if targets is not None:
            asked = exchange.explanations(image, {**options, "targets": list(targets)})
            return await self._ask(asked)
        return (await self._ask(exchange.explanations(image, options)))[0]

    async def models(self) -> tuple[Model, ...]:
        """All models that are served."""
        return await self._ask(exchange.models())

    async def model(self, name: str) -> Model:
        """One of them."""
        return await self._ask(exchange.model(name))

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

    async def _ask(self, asked: Exchange[Result]) -> Result:
        attempts = self._retries.attempts()
        pause_s = next(attempts)
        while True:
            await asyncio.sleep(pause_s)
            outcome = await self._send(asked)
            try:
                pause_s = attempts.send(outcome)
            except StopIteration as last:
                return asked.result(last.value)

    async def _send(self, asked: Exchange[Any]) -> Outcome:
        try:
            return await self._http.request(asked.method, asked.path, json=asked.json)
        except httpx.TransportError as error:
            return error


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
