"""The body of a request: images and their options, in any of three forms."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from service.api.executor import Executor, is_small
from service.api.request.body_budget import Body
from service.api.request.charset import check_content_type
from service.api.request.content_coding import decode, parse_codings
from service.api.request.json_body import MAX_VALUES, parse_json
from service.api.request.multipart import MULTIPART, read_multipart
from service.api.request.upload import IMAGE_FIELD, Upload, unique_options
from service.errors import (
    BodiesFull,
    BrokenRequest,
    DeadlineExceeded,
    OptionError,
    OptionProblem,
    RequestTimeout,
    UnsupportedMediaType,
    body_too_large,
)
from service.runtime.deadline import Deadline
from service.text import shorten

_JSON, _BYTES = "application/json", "application/octet-stream"
_NOT_AN_IMAGE = {  # no image file begins so
    b"\x1f\x8b": "gzip; say so with `Content-Encoding: gzip`",
    b"--": f"a multipart form; send it with `Content-Type: {MULTIPART}; boundary=...`, which "
    "client libraries set",
    b"{": f"JSON; send it with `Content-Type: {_JSON}`",
    b"data:": f"a data: URL; send the bytes of the file, or it as `{IMAGE_FIELD}` in {_JSON}",
    b"iVBORw0KGgo": f"base64; send the bytes of the file, or base64 as `{IMAGE_FIELD}` in {_JSON}",
    b"/9j/": f"base64; send the bytes of the file, or base64 as `{IMAGE_FIELD}` in {_JSON}",
}


async def read_upload(
    request: Request,
    body: Body,
    max_body_bytes: int,
    max_images: int,
    receive_s: float,
    executor: Executor,
    deadline: Deadline,
) -> Upload:
    """Receive and parse the body of a request.

    Parameters
    ----------
    request : Request
        With a body of type `multipart/form-data`, `application/json`, `image/*` or
        `application/octet-stream`.
    body : Body
        Counts its bytes among those of all bodies.
    max_body_bytes : int
        Larger bodies are refused, by `Content-Length`, while they are received, or decoded.
    max_images : int
        Bound on the number of images.
    receive_s : float
        Time from the head of the request for the client to send the body, in seconds.
    executor : Executor
        Parses large JSON.
    deadline : Deadline
        The deadline of the request.

    Raises
    ------
    BrokenRequest
        The body cannot be parsed, or has no image.
    RequestTimeout
        The body was not received within `receive_s`.
    DeadlineExceeded
        The body was not received and parsed by the deadline.
    BodiesFull
        All bodies together have too many bytes.
    TooLarge
        The body has too many bytes or images, or its JSON too many values.
    UnsupportedMediaType
        The content type is none of the above, or a content coding is not supported.
    OptionError
        An option is repeated, or stands in the query beside a body that has options.
    """
    async with _receiving(body, receive_s, deadline):
        received = await _receive(request, body, max_body_bytes, max_images)
    if isinstance(received, Upload):
        return received
    return await executor.run(is_small(len(received)), deadline, parse_json, received, max_images)


async def read_bytes(
    request: Request, body: Body, max_body_bytes: int, receive_s: float, deadline: Deadline
) -> bytes:
    """Receive a body of any content type, or of none, and undo its content codings.

    Parameters and errors are those of `read_upload`, without the errors of its content.
    """
    async with _receiving(body, receive_s, deadline):
        return await _join(_decoded_stream(request, body, max_body_bytes))


@asynccontextmanager
async def _receiving(body: Body, receive_s: float, deadline: Deadline) -> AsyncIterator[None]:
    """Receive a body in the block, in time and within the budget of all bodies."""
    late = RequestTimeout(
        f"the body did not arrive within {receive_s:g} s; send a smaller image, or faster"
    )
    try:
        async with deadline.enforce(receive_s, late), body.receive():
            yield
    except (RequestTimeout, DeadlineExceeded, BodiesFull) as error:
        error.headers["Connection"] = "close"  # the rest of the body is not read
        raise


def _decoded_stream(
    request: Request, body: Body, max_body_bytes: int
) -> AsyncGenerator[bytes, None]:
    """The body as it is received, without its content codings."""
    _check_declared_length(request, max_body_bytes)
    codings = parse_codings(request.headers.getlist("content-encoding"))
    return body.count(decode(_stream(request, max_body_bytes), codings, max_body_bytes))


async def _receive(
    request: Request, body: Body, max_body_bytes: int, max_images: int
) -> Upload | bytes:
    """Receive the body; JSON is not parsed yet, as parsing megabytes blocks the event loop."""
    stream = _decoded_stream(request, body, max_body_bytes)
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == MULTIPART:
        refuse_query(request)
        return await read_multipart(request.headers, stream, max_body_bytes, max_images)
    if media_type == _JSON:
        check_content_type(content_type)
        refuse_query(request)
        return await _join(stream)
    if media_type == _BYTES or media_type.startswith("image/"):
        options = query_options(request)
        return Upload([check_raw(await _join(stream))], options)
    raise UnsupportedMediaType(
        f"the content type {shorten(media_type) or '(none)'} is not supported; send the image as "
        f"{MULTIPART} in the field `{IMAGE_FIELD}`, as the raw body with image/* or {_BYTES}, "
        f"or base64 in {_JSON}"
    )


def _check_declared_length(request: Request, max_body_bytes: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body_bytes:
        raise body_too_large(max_body_bytes)


async def _stream(request: Request, max_body_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it is received, with its content codings."""
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_body_bytes:
            raise body_too_large(max_body_bytes)
        yield chunk


async def _join(stream: AsyncGenerator[bytes, None]) -> bytes:
    body = bytearray()
    async for piece in stream:
        body += piece
    return bytes(body)


def check_raw(body: bytes) -> bytes:
    """Refuse a raw body that is in one of the other forms.

    Raises
    ------
    BrokenRequest
        It is no image file, but says itself what it is.
    """
    if not body:
        raise BrokenRequest("the body is empty: send the bytes of an image file")
    for start, kind in _NOT_AN_IMAGE.items():
        if body.startswith(start):
            raise BrokenRequest(f"the body is no image file but {kind}")
    return body


def refuse_query(request: Request) -> None:
    """Refuse options in the query, beside a body that has options.

    Raises
    ------
    OptionError
        Names them.
    """
    names = query_options(request)
    if names:
        detail = "stands in the query; send all options in the body"
        raise OptionError([OptionProblem(name, detail) for name in names])


def query_options(request: Request) -> dict[str, str]:
    """The options that stand in the query.

    Raises
    ------
    OptionError
        One is repeated, or there are too many.
    """
    n_options = request.scope["query_string"].count(b"&") + 1
    if n_options > MAX_VALUES:
        raise OptionError.of(
            "query", f"has {n_options:,} options, more than {MAX_VALUES:,}; send fewer"
        )
    return unique_options(request.query_params.multi_items())
