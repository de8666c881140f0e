"""The body of a request: one image and its options, in any of three forms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pybase64
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service import strict_json
from service.api.executor import Executor, is_small
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
_MAX_FILES, _MAX_FIELDS = 4, 64  # more than the options, so that errors can name what is wrong


@dataclass(frozen=True)
class Upload:
    """The bytes of an image file, and the options as they were sent."""

    image: bytes
    options: Mapping[str, Any]


async def read_upload(
    request: Request, max_body_bytes: int, receive_s: float, executor: Executor, deadline: Deadline
) -> Upload:
    """Receive and parse the body of a request.

    Parameters
    ----------
    request : Request
        With a body of type `multipart/form-data`, `application/json`, `image/*` or
        `application/octet-stream`.
    max_body_bytes : int
        Larger bodies are refused, by `Content-Length` or while they are received.
    receive_s : float
        Time from the head of the request for the client to send the body, in seconds.
    executor : Executor
        Parses large JSON.
    deadline : Deadline
        The deadline of the request.

    Raises
    ------
    BrokenRequest
        The body cannot be parsed, or does not have exactly one image.
    RequestTimeout
        The body was not received within `receive_s`.
    DeadlineExceeded
        The body was not received and parsed by the deadline.
    TooLarge
        The body has too many bytes.
    UnsupportedMediaType
        The content type is none of the above.
    OptionError
        An option is repeated, or stands in the query beside a body that has options.
    """
    late = RequestTimeout(
        f"the body did not arrive within {receive_s:g} s; send a smaller image, or faster"
    )
    try:
        async with deadline.enforce(receive_s, late):
            received = await _receive(request, max_body_bytes)
    except (RequestTimeout, DeadlineExceeded) as error:
        error.headers["Connection"] = "close"  # the rest of the body is not read
        raise
    if isinstance(received, Upload):
        return received
    return await executor.run(is_small(len(received)), deadline, _parse_json, received)


async def _receive(request: Request, max_body_bytes: int) -> Upload | bytes:
    """Receive the body; JSON is not parsed yet, as parsing megabytes blocks the event loop."""
    _check_declared_length(request, max_body_bytes)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _MULTIPART:
        _refuse_query(request)
        return await _read_multipart(request, max_body_bytes)
    if content_type == _JSON:
        _refuse_query(request)
        return await _read_body(request, max_body_bytes)
    if content_type == _BYTES or content_type.startswith("image/"):
        body = await _read_body(request, max_body_bytes)
        if not body:
            raise BrokenRequest("the body is empty: send the bytes of an image file")
        return Upload(body, _unique(request.query_params.multi_items()))
    raise UnsupportedMediaType(
        f"the content type {content_type or '(none)'} is not supported; send the image as "
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
            # browsers send every field of a form: an empty one counts as left out
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


def _parse_json(body: bytes) -> Upload:
    try:
        fields = strict_json.loads(body)
    except strict_json.RepeatedNames as error:
        raise _repeated(error) from error
    except ValueError as error:
        raise BrokenRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BrokenRequest('the body must be a JSON object: {"image": "<base64>", ...}')
    if IMAGE_FIELD not in fields:
        raise BrokenRequest('there is no image; send one: {"image": "<base64>", ...}')
    return Upload(_decode_base64(fields.pop(IMAGE_FIELD)), fields)


def _repeated(error: strict_json.RepeatedNames) -> BrokenRequest | OptionError:
    if error.entry is not None:
        return OptionError.of(error.entry, str(error))
    if IMAGE_FIELD in error.names:
        return BrokenRequest('there are several images; send one: {"image": "<base64>", ...}')
    return _repeated_options(error.names)


def _decode_base64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise BrokenRequest("`image` must be a string: base64, or a data: URL")
    scheme = re.match(r"\s*([a-z][a-z0-9+.-]*):", text, re.IGNORECASE)
    if scheme and scheme[1].lower() != "data":
        raise BrokenRequest(
            "`image` is an address; the service fetches none: send the image itself"
        )
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
                OptionProblem(name, "stands in the query; send all options in the body")
                for name in request.query_params
            ]
        )


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    counts = Counter(name for name, _ in pairs)
    repeated = [name for name, n in counts.items() if n > 1]
    if repeated:
        raise _repeated_options(repeated)
    return dict(pairs)


def _repeated_options(names: Iterable[str]) -> OptionError:
    return OptionError([OptionProblem(name, "is given more than once") for name in names])
