"""Bodies of type `application/json`: the image in base64, and options beside it."""

from __future__ import annotations

import re
from typing import Any

import pybase64

from service import strict_json
from service.api.request.multipart import IMAGE_FIELD
from service.errors import BrokenRequest, OptionError, OptionProblem

_EXAMPLE = '{"image": "<base64>", ...}'
_URL_SAFE = str.maketrans("-_", "+/")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_OF_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_NOT_JSON = {
    b"\x1f\x8b": "gzip; say so with `Content-Encoding: gzip`",
    b"--": "a multipart form; let the client library set the `Content-Type`",
    b"\xff\xd8": "a JPEG file; send it with `Content-Type: image/jpeg`",
    b"\x89PNG": "a PNG file; send it with `Content-Type: image/png`",
}


def parse_json(body: bytes) -> tuple[bytes, dict[str, Any]]:
    """Parse a body: the bytes of the image file, and the options.

    Raises
    ------
    BrokenRequest
        It is not a JSON object with one image in base64.
    OptionError
        An option is repeated.
    """
    fields = _load(body)
    if not isinstance(fields, dict):
        raise BrokenRequest(f"the body must be a JSON object: {_EXAMPLE}")
    if fields.get(IMAGE_FIELD) is None:
        raise BrokenRequest(f"there is no image; send one: {_EXAMPLE}")
    return _decode_base64(fields.pop(IMAGE_FIELD)), fields


def repeated_options(names: tuple[str, ...]) -> OptionError:
    """The error of options that are given more than once."""
    return OptionError([OptionProblem(name, "is given more than once") for name in names])


def _load(body: bytes) -> Any:
    kind = next((kind for start, kind in _NOT_JSON.items() if body.startswith(start)), None)
    if kind:
        raise BrokenRequest(f"the body is not valid JSON but {kind}")
    try:
        return strict_json.loads(body)
    except strict_json.RepeatedNames as error:
        raise _repeated(error) from error
    except UnicodeDecodeError as error:
        raise BrokenRequest(
            f"the body is not valid JSON: it is not UTF-8 at byte {error.start}; send JSON in "
            "UTF-8, and the image in base64"
        ) from error
    except ValueError as error:
        raise BrokenRequest(f"the body is not valid JSON: {error}") from error


def _repeated(error: strict_json.RepeatedNames) -> BrokenRequest | OptionError:
    if error.entry is not None:
        return OptionError.of(error.entry, str(error))
    if IMAGE_FIELD in error.names:
        return BrokenRequest(f"there are several images; send one: {_EXAMPLE}")
    return repeated_options(error.names)


def _decode_base64(text: Any) -> bytes:
    """Decode base64 in either alphabet, with or without its padding, or a data: URL of it."""
    if not isinstance(text, str):
        raise BrokenRequest(
            "`image` must be a string: base64, or a data: URL; not bytes as numbers"
        )
    scheme = re.match(r"\s*([a-z][a-z0-9+.-]*):", text, re.IGNORECASE)
    if scheme and scheme[1].lower() != "data":
        raise BrokenRequest(
            "`image` is an address; the service fetches none: send the image itself"
        )
    if scheme:
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise BrokenRequest("`image` is a data: URL without `;base64,`; send base64")
    # in a URL these may be escaped
    text = re.sub("%(2b|2f|3d)", _unescape, text, flags=re.IGNORECASE) if scheme else text
    digits = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        return pybase64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        raise BrokenRequest(f"`image` is not valid base64: {_what_is_wrong(text)}") from error


def _unescape(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16))


def _what_is_wrong(text: str) -> str:
    if _OF_BYTES.fullmatch(text.strip()):
        return "it is Python's text of bytes; send base64.b64encode(content).decode()"
    digits = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    wrong = _NOT_BASE64.search(digits)
    if wrong:
        return f"it has {wrong[0]!a} at character {wrong.start()}; send the file's bytes in base64"
    return f"{len(digits)} characters cannot be; is it cut off?"
