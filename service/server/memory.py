"""The memory that the allocator keeps after a burst of large requests, given back when idle."""

from __future__ import annotations

import ctypes
import threading

from service.runtime.memory import resident_bytes

_TRIM_BYTES = 64_000_000  # less is soon used again; to give back 0.5 GB takes 0.2 s
_IDLE_TICKS = 10


class MemoryTrimmer:
    """Gives free memory back to the system where the process has grown since the last time.

    The C library raises its own limit for this with each large block that is freed, so that half a
    gigabyte of request bodies would stay in the process for good.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc only
        self._lowest_bytes = 0
        self._n_idle = 0
        self._thread: threading.Thread | None = None

    def tick(self, is_idle: bool) -> None:
        """Start to give memory back, on a thread, once nobody would have to wait for it.

        Parameters
        ----------
        is_idle : bool
            Whether no request is open; ten times a second.
        """
        self._n_idle = self._n_idle + 1 if is_idle else 0
        if self._trim is None or self._n_idle == 0 or self._n_idle % _IDLE_TICKS:
            return
        if self._thread and self._thread.is_alive():
            return
        resident = resident_bytes()
        self._lowest_bytes = min(self._lowest_bytes or resident, resident)
        if resident > self._lowest_bytes + _TRIM_BYTES:
            self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        if self._trim is not None:
            self._trim(0)
        self._lowest_bytes = resident_bytes()  # what is left is in use
