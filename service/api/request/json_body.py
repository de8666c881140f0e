"""Bodies of type `application/json`: one image or several in base64, and options beside them.

Each step takes a few passes over the text in C, at most: the interpreter's lock is held meanwhile.
"""

from __future__ import annotations

import re
from typing import Any

import pybase64

from service import strict_json
from service.api.request.upload import (
    IMAGE_FIELD,
    IMAGES_FIELD,
    Content,
    Upload,
    read_each,
    repeated_options,
)
from service.errors import BrokenRequest, OptionError, TooLarge, too_many_images

_EXAMPLE = '{"image": "<base64>", ...}'
_LIST_EXAMPLE = '{"images": ["<base64>", ...], ...}'
MAX_VALUES = 10_000  # of options of all kinds; 256 rules with all of their parameters are 1,800
MAX_DEPTH = 1000  # levels; rules have three
_BEFORE_VALUES = b",[{"
_QUOTES_OF_VALUE = 4  # of a name and a string
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\n\r\v\f"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SCHEME = re.compile(r"\s{0,20}([a-z][a-z0-9+.-]{0,30}):", re.IGNORECASE)
_ESCAPED = {b"%2b": b"+", b"%2B": b"+", b"%2f": b"/", b"%2F": b"/", b"%3d": b"=", b"%3D": b"="}
_NOT_JSON = {
    b"\x1f\x8b": "gzip; say so with `Content-Encoding: gzip`",
    b"--": "a multipart form; let the client library set the `Content-Type`",
    b"\xff\xd8": "a JPEG file; send it with `Content-Type: image/jpeg`",
    b"\x89PNG": "a PNG file; send it with `Content-Type: image/png`",
}


def parse_json(body: bytes, max_images: int) -> Upload:
    """Parse a body.

    Raises
    ------
    BrokenRequest
        It is not a JSON object with one image in base64, or a list of them.
    TooLarge
        It has more than `MAX_VALUES` values, or more than `max_images` images.
    OptionError
        An option is repeated.
    """
    fields = load_json(body)
    if not isinstance(fields, dict):
        raise BrokenRequest(f"the body must be a JSON object: {_EXAMPLE}")
    image, images = fields.pop(IMAGE_FIELD, None), fields.pop(IMAGES_FIELD, None)
    if images is not None:
        return Upload(_read_list(image, images, max_images), fields, is_list=True)
    if image is None:
        raise BrokenRequest(f"there is no image; send one: {_EXAMPLE}")
    return Upload([decode_base64(image)], fields)


def _read_list(image: object, images: object, max_images: int) -> list[Content]:
    if image is not None:
        raise BrokenRequest(f"there are `{IMAGE_FIELD}` and `{IMAGES_FIELD}`; send one of them")
    if not isinstance(images, list) or not images or not all(isinstance(i, str) for i in images):
        raise BrokenRequest(f"`{IMAGES_FIELD}` must be a list of strings: {_LIST_EXAMPLE}")
    if len(images) > max_images:
        raise too_many_images(max_images)
    return read_each(decode_base64, images)


def _check_structure(body: bytes, max_values: int) -> None:
    """Refuse JSON with too many values or levels, by the characters that separate values."""
    if (
        _count(body, _BEFORE_VALUES) <= max_values
    ):  # at most: what stands in strings is counted, too
        return
    max_quotes = _QUOTES_OF_VALUE * max_values
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = plain.split(b'"', max_quotes)
    outside = b"".join(pieces[::2])
    if _count(outside, b"[{") - _count(outside, b"]}") > MAX_DEPTH:
        raise BrokenRequest(f"the body is not valid JSON: it has more than {MAX_DEPTH} levels")
    if len(pieces) > max_quotes or _count(outside, _BEFORE_VALUES) > max_values:
        raise TooLarge(
            f"the JSON has more than {max_values:,} values; send each image as one string, in "
            "base64, and beside it only options"
        )


def _count(text: bytes, characters: bytes) -> int:
    return sum(text.count(character) for character in characters)


def load_json(body: bytes, max_values: int = MAX_VALUES) -> Any:
    """Parse a body within a bound on the number of its values.

    Raises
    ------
    BrokenRequest
        It is not JSON.
    TooLarge
        It has more values.
    OptionError
        An option is repeated.
    """
    kind = next((kind for start, kind in _NOT_JSON.items() if body.startswith(start)), None)
    if kind:
        raise BrokenRequest(f"the body is not valid JSON but {kind}")
    _check_structure(body, max_values)
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
    if not {IMAGE_FIELD, IMAGES_FIELD}.isdisjoint(error.names):
        return BrokenRequest(f"there are several images; send a list of them: {_LIST_EXAMPLE}")
    return repeated_options(error.names)


def decode_base64(text: Any) -> bytes:
    """Decode base64 in either alphabet, with or without its padding, or a data: URL of it.

    Raises
    ------
    BrokenRequest
        It is neither.
    """
    if not isinstance(text, str):
        raise BrokenRequest(
            "`image` must be a string: base64, or a data: URL; not bytes as numbers"
        )
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() != "data":
        raise BrokenRequest(
            "`image` is an address; the service fetches none: send the image itself"
        )
    if scheme:
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise BrokenRequest("`image` is a data: URL without `;base64,`; send base64")
    if not text.isascii():
        raise BrokenRequest("`image` is not valid base64: it has characters that are not ASCII")
    digits = _base64_digits(text, is_url=scheme is not None)
    try:
        return pybase64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        raise BrokenRequest(f"`image` is not valid base64: {_what_is_wrong(digits)}") from error


def _base64_digits(text: str, *, is_url: bool) -> bytes:
    """Digits of the standard alphabet, if it is base64."""
    digits = text.encode("ascii")
    if is_url and b"%" in digits:  # in a URL these may be escaped
        for escaped, plain in _ESCAPED.items():
            digits = digits.replace(escaped, plain)
    return digits.translate(_URL_SAFE, _WHITESPACE).rstrip(b"=")


def _what_is_wrong(digits: bytes) -> str:
    if digits[:2] in (b"b'", b'b"') and digits.endswith(digits[1:2]):
        return "it is Python's text of bytes; send base64.b64encode(content).decode()"
    wrong = digits.translate(None, _ALPHABET)[:1]
    if wrong:
        place = digits.index(wrong)
        return f"it has {wrong.decode()!r} at character {place}; send the file's bytes in base64"
    return f"{len(digits)} characters cannot be; is it cut off?"
