"""Processes that decode large images, and that are killed when nobody waits for the image.

The contract:

- A request that is cancelled while it waits has cost nothing; one whose image is being decoded
  keeps its process until that is dead.
- The pixels of all images that are decoded, or wait for it, are bounded: more are refused.
- Huge images have a process of their own, so that large ones do not wait for them.
- Processes are started when they are needed, and end when they have been idle for a while. One that
  dies while it is idle is replaced: no request fails for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import pickle
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from service.errors import NotAnImage, Overloaded, ServiceError
from service.imaging.decode import out_of_memory
from service.imaging.decode_process import LENGTH, command
from service.imaging.header import Header
from service.imaging.pictures import Loaded, PictureSpec

logger = logging.getLogger(__name__)

HUGE_PIXELS = 16_000_000
_MANY_PASSES = 10
_IDLE_S = 60.0
_RESTART_S = 5
_PIXELS_PER_S = 40e6  # that one process decodes, roughly


class DecoderPool:
    """Decodes images in processes.

    Parameters
    ----------
    max_pixels : int
        Of one image.
    budget_pixels : int
        Of all images that are decoded or wait for it; one image is always accepted.
    n_processes : int
        Processes for images that are not huge.
    """

    def __init__(self, max_pixels: int, budget_pixels: int, n_processes: int) -> None:
        self._budget_pixels, self.pixels_in_work = budget_pixels, 0
        self._large, self._huge = _Lane(n_processes, max_pixels), _Lane(1, max_pixels)

    async def load(self, content: bytes, header: Header, spec: PictureSpec) -> Loaded:
        """Decode an image as `load_picture` does; when cancelled, kill the process.

        Raises
        ------
        Overloaded
            The budget of pixels is full, or the system has no process.
        ServiceError
            As `load_picture` does.
        """
        lane = self._huge if _is_huge(header) else self._large
        with self._reserved(header.n_pixels):
            return await lane.load(content, spec)

    async def close(self) -> None:
        """End all processes."""
        await self._large.close()
        await self._huge.close()

    @contextmanager
    def _reserved(self, n_pixels: int) -> Iterator[None]:
        if self.pixels_in_work and self.pixels_in_work + n_pixels > self._budget_pixels:
            wait_s = math.ceil(self.pixels_in_work / _PIXELS_PER_S)
            raise Overloaded(
                f"large images of {self.pixels_in_work / 1e6:.0f} megapixels are being decoded; "
                f"try again in {wait_s} s, or send a smaller image",
                headers={"Retry-After": str(wait_s)},
            )
        self.pixels_in_work += n_pixels
        try:
            yield
        finally:
            self.pixels_in_work -= n_pixels


def _is_huge(header: Header) -> bool:
    return header.n_pixels * max(1, header.n_passes // _MANY_PASSES) > HUGE_PIXELS


class _Lane:
    """Processes for images of like size: each request waits for one of them."""

    def __init__(self, n_processes: int, max_pixels: int) -> None:
        self._free = asyncio.Semaphore(n_processes)
        self._max_pixels = max_pixels
        self._processes: set[_DecoderProcess] = set()
        self._idle: list[_DecoderProcess] = []
        self._ending: asyncio.Future[int] | None = None  # kept from the garbage collector

    async def load(self, content: bytes, spec: PictureSpec) -> Loaded:
        async with self._free:
            process = await self._take_idle() or await self._start()
            try:
                outcome = await process.request(content, spec)
            except (EOFError, OSError):
                raise await self._explain(process) from None
            except BaseException:
                await self._end(process)
                raise
            self._release(process)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        for process in list(self._processes):
            await self._end(process)

    async def _take_idle(self) -> _DecoderProcess | None:
        """Take an idle process; those that were killed meanwhile, as by the kernel, are dropped."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
            status = await self._end(process)
            logger.warning("an idle process that decodes images exited with status %d", status)
        return None

    async def _start(self) -> _DecoderProcess:
        try:
            process = await _DecoderProcess.start(self._max_pixels)
        except OSError as error:
            logger.error("a process that decodes images cannot be started: %s", error)
            raise Overloaded(
                "the system has no process for a large image now; try again in "
                f"{_RESTART_S} s, or send a smaller image",
                headers={"Retry-After": str(_RESTART_S)},
            ) from None
        self._processes.add(process)
        return process

    def _release(self, process: _DecoderProcess) -> None:
        self._idle.append(process)
        n_requests = process.n_requests

        def end_if_idle() -> None:
            if process in self._idle and process.n_requests == n_requests:
                self._ending = asyncio.ensure_future(self._end(process))

        asyncio.get_running_loop().call_later(_IDLE_S, end_if_idle)

    async def _end(self, process: _DecoderProcess) -> int:
        self._processes.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        return await process.kill()

    async def _explain(self, process: _DecoderProcess) -> ServiceError:
        """The error of a process that has died: by the kernel for its memory, or by a fault."""
        status = await self._end(process)
        logger.error("a process that decodes images exited with status %d", status)
        if status == -signal.SIGKILL:
            return out_of_memory()
        return NotAnImage("the image is damaged so that its decoder failed; save it anew")


class _DecoderProcess:
    """A process, and the socket that connects it with this one."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.n_requests = 0

    @classmethod
    async def start(cls, max_pixels: int) -> _DecoderProcess:
        ours, theirs = socket.socketpair()
        try:
            process = cls._start_process(max_pixels, theirs)
        except BaseException:
            ours.close()
            raise
        try:
            return cls(process, *await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise

    @staticmethod
    def _start_process(max_pixels: int, connection: socket.socket) -> subprocess.Popen[bytes]:
        # on the event loop's thread: the kernel ends the process with the thread that started it
        with connection:
            return subprocess.Popen(  # noqa: S603  a command of our own
                command(max_pixels),
                stdin=connection.fileno(),
                stdout=subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def request(self, content: bytes, spec: PictureSpec) -> Loaded | Exception:
        self.n_requests += 1
        for message in (pickle.dumps(spec), content):
            self._writer.write(LENGTH.pack(len(message)))
            self._writer.write(message)
        await self._writer.drain()
        (n_bytes,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        outcome: Loaded | Exception = pickle.loads(await self._reader.readexactly(n_bytes))  # noqa: S301  our own process
        return outcome

    async def kill(self) -> int:
        """Kill the process and wait for its end; returns its exit status."""
        self._process.kill()
        with suppress(OSError):
            await self._reader.read()  # to the end: then its memory is free
        self._writer.transport.abort()
        return self._process.wait()
