"""Bodies of type `multipart/form-data`: one file in the field `image`, and options as fields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.request.charset import check_charset, check_content_type
from service.errors import BrokenRequest
from service.text import shorten

IMAGE_FIELD = "image"
MULTIPART = "multipart/form-data"
_CHARSET_FIELD = "_charset_"  # RFC 7578, section 4.6: the charset of the other fields
_MAX_FILES, _MAX_FIELDS = 4, 64  # more than the options, so that errors can name what is wrong
_BY_HAND = (
    "do not set the header by hand: the client library sets it, with the boundary, where it is "
    "given a form"
)
Fields = list[tuple[str, str]]


class _FormParser(MultiPartParser):
    """Starlette's parser, with fields in UTF-8 only, and files in memory.

    It notes whether the closing boundary came, which is required. Some clients send a file without
    its name (.NET, Go): so the bytes of the field `image` are kept.
    """

    spool_max_size = 0  # files stay in memory: the number of bytes of a body is bounded
    is_complete = False
    n_parts = 0
    image_as_text = b""

    def on_part_begin(self) -> None:
        self.n_parts += 1
        super().on_part_begin()

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is not None:
            super().on_part_end()
            return
        if part.field_name == IMAGE_FIELD:
            self.image_as_text, text = bytes(part.data), ""
        else:
            text = _decode_field(part.field_name, bytes(part.data), part.item_headers)
        if part.field_name == _CHARSET_FIELD:
            check_charset(text)
        else:
            self.items.append((part.field_name, text))

    def on_end(self) -> None:
        self.is_complete = True


def _decode_field(name: str, content: bytes, headers: Sequence[tuple[bytes, bytes]]) -> str:
    check_content_type(dict(headers).get(b"content-type", b"").decode("latin-1"), content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise BrokenRequest(
            f"the field `{shorten(name)}` is not UTF-8; send text in UTF-8"
        ) from None


async def read_multipart(
    headers: Headers, stream: AsyncGenerator[bytes, None], max_body_bytes: int
) -> tuple[bytes, Fields]:
    """Receive and parse a form.

    Parameters
    ----------
    headers : Headers
        Of the request.
    stream : async generator of bytes
        The body; it bounds the number of bytes.
    max_body_bytes : int
        That bound.

    Returns
    -------
    image : bytes
        The image file.
    fields : list of (str, str)
        All other fields that are not empty: browsers send every field of a form.

    Raises
    ------
    BrokenRequest
        The body is not such a form, is cut off, or does not have exactly one image.
    UnsupportedMediaType
        A charset is not UTF-8.
    """
    check_content_type(headers.get("content-type", ""))
    parser = _FormParser(
        headers,
        stream,
        max_files=_MAX_FILES,
        max_fields=_MAX_FIELDS,
        max_part_size=max_body_bytes,
    )
    parser.spool_max_size = max_body_bytes  # never a file on a disk, which may be full
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BrokenRequest(_describe(error.message, headers, parser)) from error
    try:
        _check_end(parser)
        return await _split(form.multi_items(), parser.image_as_text)
    finally:
        await form.close()


def _describe(message: str, headers: Headers, parser: _FormParser) -> str:
    if "boundary=" not in headers.get("content-type", "").lower():
        return f"the `Content-Type` is {MULTIPART} without a boundary; {_BY_HAND}"
    if message.startswith("Invalid") and not parser.n_parts:
        return (
            "the multipart body does not begin with the boundary that the `Content-Type` has; "
            f"{_BY_HAND}"
        )
    return f"the multipart body cannot be read: {message}"


def _check_end(parser: _FormParser) -> None:
    if parser.is_complete:
        return
    if not parser.n_parts:
        raise BrokenRequest(
            f"the multipart body is empty; send a file in the field `{IMAGE_FIELD}`"
        )
    raise BrokenRequest(
        "the multipart body ends before its last boundary (--BOUNDARY--): it is cut off; send all "
        "of it"
    )


async def _split(
    items: Sequence[tuple[str, str | UploadFile]], image_as_text: bytes
) -> tuple[bytes, Fields]:
    images = [value for name, value in items if name == IMAGE_FIELD]
    others = [(name, value) for name, value in items if name != IMAGE_FIELD and value != ""]
    image = _only_image(images, [name for name, value in others if isinstance(value, UploadFile)])
    content = await image.read() if isinstance(image, UploadFile) else _binary(image_as_text)
    return content, [(name, value) for name, value in others if isinstance(value, str)]


def _only_image(images: Sequence[str | UploadFile], files: Sequence[str]) -> str | UploadFile:
    if not images and files:
        raise BrokenRequest(
            f"the file is in the field `{shorten(files[0])}`; send it in the field `{IMAGE_FIELD}`"
        )
    if len(images) != 1:
        number = "no" if not images else str(len(images))
        raise BrokenRequest(
            f"there are {number} images; send exactly one file in the field `{IMAGE_FIELD}`"
        )
    if files:
        raise BrokenRequest(
            f"there is a second file, in the field `{shorten(files[0])}`; send one image"
        )
    return images[0]


def _binary(content: bytes) -> bytes:
    """The image that is sent without a file name; no image is UTF-8 without a zero byte."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if "\0" in text:
        return content
    raise BrokenRequest(
        f"the field `{IMAGE_FIELD}` is text; send a file: curl -F {IMAGE_FIELD}=@cat.jpg"
    )
