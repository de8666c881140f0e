"""Decoding of the images of requests: at once, on a thread or in a process, by what it may cost.

| where      | what                                                                              |
| ---------- | --------------------------------------------------------------------------------- |
| event loop | a few pixels, of formats whose decoders take time by the number of pixels          |
| thread     | a few megapixels of these formats, and small images of which pictures are made     |
| process    | all others: they can be killed, and take memory that is given back                 |
"""

from __future__ import annotations

from service.api.decoder_pool import DecoderPool
from service.api.executor import Executor, is_small
from service.imaging.decode import EncodedImage
from service.imaging.header import Header
from service.imaging.pictures import Loaded, PictureSpec, load_picture
from service.runtime.deadline import Deadline

# a thread cannot be killed: this takes it 0.1 s at most
_QUICK_PIXELS = 1 << 21
_QUICK_BYTES = 1 << 21


class Decoder:
    """Decodes the images of requests.

    Parameters
    ----------
    executor : Executor
        Its threads.
    pool : DecoderPool
        Its processes.
    max_pixels : int
        Larger images are refused.
    """

    def __init__(self, executor: Executor, pool: DecoderPool, max_pixels: int) -> None:
        self._executor, self._pool, self._max_pixels = executor, pool, max_pixels

    async def load(self, content: bytes, spec: PictureSpec, deadline: Deadline) -> Loaded:
        """Decode an image file and fit it to a network, as `load_picture` does.

        Raises
        ------
        DeadlineExceeded
            The deadline passed; a process that was decoding is dead.
        Overloaded, QueueFull
            Too many images are being decoded, or wait for it.
        ServiceError
            As `load_picture` does.
        """
        file = EncodedImage(content)
        header = file.header
        header.check(self._max_pixels)
        if is_quick(header, len(content)):
            is_inline = is_small_picture(header, len(content), spec)
            return await self._executor.run(
                is_inline, deadline, load_picture, file, spec, self._max_pixels
            )
        async with deadline.enforce():
            return await self._pool.load(content, header, spec)

    async def close(self) -> None:
        """End all processes."""
        await self._pool.close()


def is_quick(header: Header, n_bytes: int) -> bool:
    """Whether the time of decoding is bounded, by about 0.1 s."""
    n_pixels = header.n_pixels * header.n_passes
    return not header.is_slow and n_pixels <= _QUICK_PIXELS and n_bytes <= _QUICK_BYTES


def is_small_picture(header: Header, n_bytes: int, spec: PictureSpec) -> bool:
    """Whether `load_picture` is work for the event loop."""
    has_pictures = spec.picture_side is not None
    return not has_pictures and is_small(n_bytes, header.n_pixels * header.n_passes)
