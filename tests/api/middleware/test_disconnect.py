"""A client that disconnects cancels its own request: at any time, and no other one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middleware.disconnect import CancelOnDisconnect

LIMIT_S = 10.0
SCOPE: Scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
DISCONNECT: Message = {"type": "http.disconnect"}


def piece(body: bytes, *, more_body: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


class Client:
    """Sends the messages that a test puts, and keeps those that come back."""

    def __init__(self, *messages: Message) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self.received: list[Message] = []
        for message in messages:
            self.put(message)

    def put(self, message: Message) -> None:
        self._messages.put_nowait(message)

    async def receive(self) -> Message:
        return await self._messages.get()

    async def send(self, message: Message) -> None:
        self.received.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.put(DISCONNECT)  # as servers do after the response

    def call(self, app: ASGIApp) -> Coroutine[Any, Any, None]:
        async def call() -> None:
            await CancelOnDisconnect(app)(dict(SCOPE), self.receive, self.send)

        return call()

    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)


class Handler:
    """Reads the body, then works until a test lets it go on."""

    def __init__(self) -> None:
        self.has_body, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.has_body.set()
        try:
            await self.may_go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await PlainTextResponse(body)(scope, receive, send)


async def assert_only(tasks: set[asyncio.Task[Any]]) -> None:
    """Those that were cancelled have had their turn; no others are left."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, LIMIT_S))


def test_the_handler_gets_every_piece_of_the_body_and_is_not_cancelled() -> None:
    async def scenario() -> None:
        client, handler = Client(), Handler()
        task = asyncio.create_task(client.call(handler))
        for n in range(10):
            client.put(piece(b"%d" % n, more_body=n < 9))
            await asyncio.sleep(0)
        handler.may_go_on.set()
        await task
        assert client.body() == b"0123456789"
        assert not handler.cancelled.is_set()

    run(scenario())


def test_a_client_that_disconnects_cancels_its_handler_and_no_other() -> None:
    async def scenario() -> None:
        leaving, staying = Client(piece(b"left")), Client(piece(b"stayed"))
        handlers = Handler(), Handler()
        tasks = [
            asyncio.create_task(client.call(handler))
            for client, handler in zip((leaving, staying), handlers, strict=True)
        ]
        for handler in handlers:
            await handler.has_body.wait()
        leaving.put(DISCONNECT)
        await handlers[0].cancelled.wait()
        await tasks[0]  # it ends without an exception: nobody is there to see one
        assert not tasks[0].cancelled()
        assert leaving.received == []
        handlers[1].may_go_on.set()
        await tasks[1]
        assert staying.body() == b"stayed"
        assert not handlers[1].cancelled.is_set()

    run(scenario())


def test_a_client_that_disconnects_while_it_sends_is_found_by_the_handler() -> None:
    async def scenario() -> None:
        client = Client(piece(b"half", more_body=True), DISCONNECT)
        with pytest.raises(ClientDisconnect):
            await client.call(Handler())

    run(scenario())


def test_the_disconnect_behind_a_response_cancels_nothing() -> None:
    is_done = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal is_done
        await Request(scope, receive).body()
        await PlainTextResponse("all")(scope, receive, send)
        for _ in range(3):
            await asyncio.sleep(0)  # as middleware that still has something to do
        is_done = True

    run(Client(piece(b"")).call(app))
    assert is_done


def test_the_handler_may_wait_for_the_disconnect_itself() -> None:
    async def numbers() -> Any:
        for n in range(5):
            yield str(n)
            await asyncio.sleep(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(numbers())(scope, receive, send)  # receives while it sends

    client = Client(piece(b""))
    run(client.call(app))
    assert client.body() == b"01234"


def test_a_cancellation_from_outside_is_passed_on() -> None:
    async def scenario() -> None:
        before = asyncio.all_tasks()
        client, handler = Client(piece(b"")), Handler()
        task = asyncio.create_task(client.call(handler))
        await handler.has_body.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_only(before)

    run(scenario())


def test_a_cancellation_from_outside_counts_beside_the_disconnect() -> None:
    is_cleaning_up = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Handler()(scope, receive, send)
        finally:
            is_cleaning_up.set()
            await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.create_task(Client(piece(b""), DISCONNECT).call(app))
        await is_cleaning_up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario())


def test_what_the_handler_raises_is_raised_and_no_task_is_left() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        raise ValueError("a bug")

    async def scenario() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(ValueError, match="a bug"):
            await Client(piece(b"")).call(app)
        await assert_only(before)

    run(scenario())
