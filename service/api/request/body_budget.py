"""A bound on the bytes of all request bodies that are in memory at once.

The contract:

- A body counts from its first byte until its request is answered, without its content coding.
- Where a piece does not fit, the body that has taken the most bytes for the longest, among those
  that are still being received, is refused with a 503. So clients that are slow, or never send the
  end, cannot keep others out: the body of a new request comes last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from service.errors import BodiesFull

MAX_BYTES = 256_000_000


class BodyBudget:
    """The bytes of all request bodies of a process.

    Parameters
    ----------
    max_bytes : int
        That may be in memory at once.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._n_bytes = max_bytes, 0
        self._receiving: set[Body] = set()

    @property
    def n_bytes(self) -> int:
        """The bytes in memory."""
        return self._n_bytes

    @contextmanager
    def hold(self) -> Iterator[Body]:
        """Hold a body until the end of the block."""
        body = Body(self)
        try:
            yield body
        finally:
            self._n_bytes -= body.n_bytes

    def start(self, body: Body) -> None:
        """Begin to receive a body, which may be refused until `end`."""
        self._receiving.add(body)

    def end(self, body: Body) -> None:
        """End to receive a body."""
        self._receiving.discard(body)

    def add(self, body: Body, n_bytes: int) -> None:
        """Count more bytes of a body that is being received.

        Raises
        ------
        BodiesFull
            They do not fit, or the body was refused before.
        """
        if body.is_refused:
            raise self.full()
        while self._n_bytes + n_bytes > self._max_bytes:
            now = time.monotonic()
            dearest = max(self._receiving, key=lambda each: each.cost(now), default=body)
            self._refuse(dearest)
            if dearest is body:
                raise self.full()
        self._n_bytes += n_bytes
        body.n_bytes += n_bytes

    def _refuse(self, body: Body) -> None:
        self._receiving.discard(body)
        self._n_bytes -= body.n_bytes  # it is freed when its task runs next
        body.refuse()

    def full(self) -> BodiesFull:
        """Make the error of a body that is refused."""
        return BodiesFull(
            f"all requests together have more than {self._max_bytes} bytes; try again in 1 s",
            headers={"Retry-After": "1"},
        )


class Body:
    """A request body, as far as it is in memory.

    Attributes
    ----------
    n_bytes : int
        Its size so far; 0 when it is refused.
    timeout : asyncio.Timeout
        Of the task that receives it.
    is_refused : bool
        Whether its bytes are needed for others.
    """

    timeout: asyncio.Timeout

    def __init__(self, budget: BodyBudget) -> None:
        self._budget, self._began_at = budget, time.monotonic()
        self.n_bytes, self.is_refused = 0, False

    def cost(self, now: float) -> float:
        """Bytes times seconds until now."""
        return self.n_bytes * (now - self._began_at)

    def refuse(self) -> None:
        """Cancel the task that receives it."""
        self.n_bytes, self.is_refused = 0, True
        self.timeout.reschedule(asyncio.get_running_loop().time())

    async def count(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Count the pieces of the body as they come."""
        async for piece in stream:
            self._budget.add(self, len(piece))
            yield piece

    @asynccontextmanager
    async def receive(self) -> AsyncIterator[None]:
        """Receive it in the block, which is cancelled where the bytes are needed for others.

        Raises
        ------
        BodiesFull
            It is refused.
        """
        self._budget.start(self)
        try:
            async with asyncio.timeout(None) as self.timeout:
                yield
        except TimeoutError:
            if not self.is_refused:
                raise
        finally:
            self._budget.end(self)
        if self.is_refused:
            raise self._budget.full()
