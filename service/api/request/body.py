"""Read a request: one image and its options, in any of three forms."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import pybase64
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.errors import (
    BrokenRequest,
    DeadlineExceeded,
    OptionError,
    OptionProblem,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)
from service.runtime.deadline import Deadline

IMAGE_FIELD = "image"
_MULTIPART, _JSON, _BYTES = "multipart/form-data", "application/json", "application/octet-stream"
_SMALL_BYTES = 1 << 17  # are parsed at once: to use a thread would take longer
_MAX_FILES, _MAX_FIELDS = 4, 64  # more than there are options; enough to say what is wrong


@dataclass(frozen=True)
class Upload:
    """An image file's bytes, and the options that came with it, as they were sent."""

    image: bytes
    options: Mapping[str, Any]


async def read_upload(
    request: Request, max_body_bytes: int, receive_s: float, deadline: Deadline
) -> Upload:
    """Read an image and its options.

    Parameters
    ----------
    request : Request
        With a body of type `multipart/form-data`, `application/json`, `image/*` or
        `application/octet-stream`.
    max_body_bytes : int
        More is refused, by the declared length or while reading.
    receive_s : float
        Seconds that the client has for the whole body, from the head of the request on.
    deadline : Deadline
        Of the request.

    Raises
    ------
    BrokenRequest
        The body cannot be read, has no image, or two.
    RequestTimeout
        It was not here in time.
    DeadlineExceeded
        It was not here at the deadline.
    TooLarge
        The body has too many bytes.
    UnsupportedMediaType
        The content type is none of the above.
    OptionError
        An option is given twice, or where it does not belong.
    """
    late = RequestTimeout(
        f"the body was not here within {receive_s:g} s; send a smaller image, or faster"
    )
    try:
        async with deadline.enforce(receive_s, late):
            return await _read(request, max_body_bytes)
    except (RequestTimeout, DeadlineExceeded) as error:
        error.headers["Connection"] = "close"  # the rest of the body is not read
        raise


async def _read(request: Request, max_body_bytes: int) -> Upload:
    _check_declared_length(request, max_body_bytes)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _MULTIPART:
        _refuse_query(request)
        return await _read_multipart(request, max_body_bytes)
    if content_type == _JSON:
        _refuse_query(request)
        return await _read_json(request, max_body_bytes)
    if content_type == _BYTES or content_type.startswith("image/"):
        body = await _read_body(request, max_body_bytes)
        if not body:
            raise BrokenRequest("the body is empty: send the bytes of an image file")
        return Upload(body, _unique(request.query_params.multi_items()))
    raise UnsupportedMediaType(
        f"the content type {content_type or '(none)'} is not read; send the image as "
        f"{_MULTIPART} in the field `{IMAGE_FIELD}`, as the raw body with image/* or {_BYTES}, "
        f"or base64 in {_JSON}"
    )


async def _read_multipart(request: Request, max_body_bytes: int) -> Upload:
    limited = Request(request.scope, _limit_receive(request, max_body_bytes))
    try:
        async with limited.form(
            max_files=_MAX_FILES, max_fields=_MAX_FIELDS, max_part_size=max_body_bytes
        ) as form:
            items = form.multi_items()
            images = [value for name, value in items if name == IMAGE_FIELD]
            # pages send every field of a form: one that was left empty is one that was left out
            options = [
                (name, value) for name, value in items if name != IMAGE_FIELD and value != ""
            ]
            image = _only_image(images, options)
            content = await image.read()
    except HTTPException as error:
        raise BrokenRequest(f"the multipart body cannot be read: {error.detail}") from error
    return Upload(content, _unique(options))


def _only_image(images: list[str | UploadFile], options: list[Any]) -> UploadFile:
    files = [name for name, value in options if isinstance(value, UploadFile)]
    if not images and files:
        raise BrokenRequest(
            f"the file is in the field `{files[0]}`; send it in the field `{IMAGE_FIELD}`"
        )
    if len(images) != 1:
        number = "no" if not images else str(len(images))
        raise BrokenRequest(
            f"there are {number} images; send exactly one file in the field `{IMAGE_FIELD}`"
        )
    if files:
        raise BrokenRequest(f"there is a second file, in the field `{files[0]}`; send one image")
    image = images[0]
    if isinstance(image, str):
        raise BrokenRequest(
            f"the field `{IMAGE_FIELD}` is text; send a file: curl -F {IMAGE_FIELD}=@cat.jpg"
        )
    return image


async def _read_json(request: Request, max_body_bytes: int) -> Upload:
    body = await _read_body(request, max_body_bytes)
    # parsing megabytes would keep the event loop from everybody else
    if len(body) <= _SMALL_BYTES:
        return _parse_json(body)
    return await run_in_threadpool(_parse_json, body)


def _parse_json(body: bytes) -> Upload:
    try:
        pairs = json.loads(body, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BrokenRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(pairs, _Pairs):
        raise BrokenRequest('the body must be a JSON object: {"image": "<base64>", ...}')
    images = [value for name, value in pairs if name == IMAGE_FIELD]
    if len(images) != 1:
        number = "no" if not images else str(len(images))
        raise BrokenRequest(f'there are {number} images; send one: {{"image": "<base64>", ...}}')
    options = _unique((name, value) for name, value in pairs if name != IMAGE_FIELD)
    return Upload(_decode_base64(images[0]), options)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated names, which a dict would lose."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _decode_base64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise BrokenRequest("`image` must be a string: base64, or a data: URL")
    scheme = re.match(r"\s*([a-z][a-z0-9+.-]*):", text, re.IGNORECASE)
    if scheme and scheme[1].lower() != "data":
        raise BrokenRequest("`image` is an address; the service fetches none: send the image")
    if scheme:
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise BrokenRequest("`image` is a data: URL without `;base64,`; send base64")
    try:
        return pybase64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise BrokenRequest(f"`image` is not valid base64: {error}") from error


def _check_declared_length(request: Request, max_body_bytes: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body_bytes:
        raise _too_large(max_body_bytes)


async def _read_body(request: Request, max_body_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_body_bytes:
            raise _too_large(max_body_bytes)
    return bytes(body)


def _limit_receive(request: Request, max_body_bytes: int) -> Any:
    total = 0

    async def receive() -> Any:
        nonlocal total
        message = await request.receive()
        total += len(message.get("body", b""))
        if total > max_body_bytes:
            raise _too_large(max_body_bytes)
        return message

    return receive


def _too_large(max_body_bytes: int) -> TooLarge:
    return TooLarge(f"the body has more than {max_body_bytes} bytes; send a smaller image")


def _refuse_query(request: Request) -> None:
    if request.query_params:
        raise OptionError(
            [
                OptionProblem(name, "options go into the body here, not into the query")
                for name in request.query_params
            ]
        )


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    repeated = [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]
    if repeated:
        raise OptionError([OptionProblem(name, "is given more than once") for name in repeated])
    return {name: _plain(name, value) for name, value in pairs}


def _plain(option: str, value: Any) -> Any:
    """Objects as dicts, as far down as an option has any: in a list of rules."""
    if isinstance(value, list) and not isinstance(value, _Pairs):
        return [_plain_object(option, item) for item in value]
    return _plain_object(option, value)


def _plain_object(option: str, value: Any) -> Any:
    if not isinstance(value, _Pairs):
        return value
    found = dict(value)
    if len(found) < len(value):
        raise OptionError.of(option, "an object in it has a name twice")
    return found
