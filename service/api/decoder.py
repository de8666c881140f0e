"""Decoding of the images of requests: at once, on a thread or in a process, by what it may cost.

| where      | what                                                                              |
| ---------- | --------------------------------------------------------------------------------- |
| event loop | a few pixels, of formats whose decoders take time by the number of pixels          |
| thread     | a few megapixels of these formats, and small images of which pictures are made     |
| process    | all others: they can be killed, and take memory that is given back                 |
"""

from __future__ import annotations

from PIL import Image

from service.api.decoder_pool import DecoderPool
from service.api.executor import Executor, is_small
from service.errors import NotAnImage
from service.imaging.decode import Decoded, EncodedImage
from service.imaging.header import Header
from service.imaging.pictures import Loaded, PictureSpec, fit_picture, load_picture
from service.runtime.deadline import Deadline
from service.runtime.jobs import Pixels

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

    async def load(self, image: bytes | Pixels, spec: PictureSpec, deadline: Deadline) -> Loaded:
        """Decode an image and fit it to a network.

        Parameters
        ----------
        image : bytes or numpy.ndarray
            An image file, or RGB pixels, uint8 of shape (H, W, 3).
        spec : PictureSpec
            What is made of it.
        deadline : Deadline
            Of its request.

        Raises
        ------
        DeadlineExceeded
            The deadline passed; a process that was decoding is dead.
        Overloaded, QueueFull
            Too many images are being decoded, or wait for it.
        ServiceError
            As `load_picture` does.
        """
        if isinstance(image, bytes):
            return await self._load_file(image, spec, deadline)
        return await self._load_pixels(image, spec, deadline)

    async def _load_file(self, content: bytes, spec: PictureSpec, deadline: Deadline) -> Loaded:
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

    async def _load_pixels(self, pixels: Pixels, spec: PictureSpec, deadline: Deadline) -> Loaded:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise NotAnImage(f"pixels have the shape (H, W, 3), not {pixels.shape}")
        height, width, _ = pixels.shape
        header = Header(width, height)
        header.check(self._max_pixels)
        is_inline = is_small_picture(header, pixels.nbytes, spec)
        decoded = Decoded.whole(Image.fromarray(pixels))
        return await self._executor.run(is_inline, deadline, fit_picture, decoded, spec)

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
