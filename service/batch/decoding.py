"""Decoding of images on several threads, ahead of the engine.

Threads, as decoders release Python's lock: for photos two threads are nearly twice as fast as one.
Thumbnails do not gain, but one thread decodes several thousand of them in a second. Where the
engine computes on the same cores there are few threads: for thumbnails two are slower than one, as
they wait for Python's lock.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from service.batch.explainer import BatchExplainer
from service.batch.images import SourceImage
from service.errors import ServiceError
from service.imaging.pictures import Loaded
from service.runtime.cores import usable_cores

_CORES_PER_THREAD = 4  # where the engine is on the CPU
_AHEAD = 2  # batches beyond those that are being decoded
_SWITCH_INTERVAL_S = 1e-4  # Python's own is 5 ms

DecodedBatch = tuple[Sequence[SourceImage], list[Loaded | ServiceError]]


def decode_ahead(
    batches: Iterable[Sequence[SourceImage]],
    explainer: BatchExplainer,
    n_threads: int | None = None,
) -> Iterator[DecodedBatch]:
    """Yield batches with their decoded images, in their order; few are held at a time."""

    def decode(batch: Sequence[SourceImage]) -> DecodedBatch:
        return batch, [explainer.load(image.content) for image in batch]

    is_cpu = explainer.engine.device.type == "cpu"
    n_threads = n_threads or max(1, usable_cores() // (_CORES_PER_THREAD if is_cpu else 1))
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="decode")
    waiting: deque[Future[DecodedBatch]] = deque()
    try:
        with _short_switch_interval():
            for batch in batches:
                waiting.append(pool.submit(decode, batch))
                if len(waiting) > n_threads + _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _short_switch_interval() -> Iterator[None]:
    """Let the engine have Python's lock soon: it takes the lock anew after each operator.

    A thread that decodes gives it away after the interval only, while the device waits.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
