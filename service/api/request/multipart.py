"""Bodies of type `multipart/form-data`: files in the field `image`, and options as fields.

Several fields `image`, or any number of fields `images`, are a list of images.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.request.charset import check_charset, check_content_type
from service.api.request.upload import (
    IMAGE_FIELD,
    IMAGES_FIELD,
    Content,
    Upload,
    read_each,
    unique_options,
)
from service.errors import BrokenRequest, too_many_images
from service.text import shorten

MULTIPART = "multipart/form-data"
_CHARSET_FIELD = "_charset_"  # RFC 7578, section 4.6: the charset of the other fields
_MAX_FILES, _MAX_FIELDS = 4, 64  # more than the options, so that errors can name what is wrong
_BY_HAND = (
    "do not set the header by hand: the client library sets it, with the boundary, where it is "
    "given a form"
)
_IMAGE_FIELDS = (IMAGE_FIELD, IMAGES_FIELD)
_Items = Sequence[tuple[str, str | UploadFile]]


class _FormParser(MultiPartParser):
    """Starlette's parser, with fields in UTF-8 only, and files in memory.

    It notes whether the closing boundary came, which is required. Some clients send a file without
    its name (.NET, Go): so the bytes of the fields of images are kept.
    """

    max_images: int
    image_fields: Sequence[str] = _IMAGE_FIELDS

    spool_max_size = 0  # files stay in memory: the number of bytes of a body is bounded
    is_complete = False
    n_parts = n_images = 0

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], **limits: int):
        super().__init__(headers, stream, **limits)
        self.images_as_text: list[bytes] = []

    def on_part_begin(self) -> None:
        self.n_parts += 1
        super().on_part_begin()

    def on_part_end(self) -> None:
        part = self._current_part
        if part.field_name in self.image_fields:
            self._count_image()
        if part.file is not None:
            super().on_part_end()
            return
        if part.field_name in self.image_fields:
            self.images_as_text.append(bytes(part.data))
            text = ""
        else:
            text = _decode_field(part.field_name, bytes(part.data), part.item_headers)
        if part.field_name == _CHARSET_FIELD:
            check_charset(text)
        else:
            self.items.append((part.field_name, text))

    def _count_image(self) -> None:
        self.n_images += 1
        if self.n_images > self.max_images:
            raise too_many_images(self.max_images)

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
    headers: Headers,
    stream: AsyncGenerator[bytes, None],
    max_body_bytes: int,
    max_images: int,
    image_fields: Sequence[str] = _IMAGE_FIELDS,
) -> Upload:
    """Receive and parse a form; fields that are empty count as left out, as browsers send them.

    Parameters
    ----------
    headers : Headers
        Of the request.
    stream : async generator of bytes
        The body; it bounds the number of bytes.
    max_body_bytes : int
        That bound.
    max_images : int
        Bound on the number of images.
    image_fields : sequence of str
        Names of the fields that have images, the usual one first.

    Raises
    ------
    BrokenRequest
        The body is not such a form, is cut off, or has no image.
    TooLarge
        There are too many images.
    UnsupportedMediaType
        A charset is not UTF-8.
    OptionError
        An option is repeated.
    """
    check_content_type(headers.get("content-type", ""))
    parser = _FormParser(
        headers,
        stream,
        max_files=_MAX_FILES + max_images,
        max_fields=_MAX_FIELDS + max_images,
        max_part_size=max_body_bytes,
    )
    parser.max_images, parser.image_fields = max_images, image_fields
    parser.spool_max_size = max_body_bytes  # never a file on a disk, which may be full
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BrokenRequest(_describe(error.message, headers, parser)) from error
    try:
        _check_end(parser)
        return await _read(form.multi_items(), parser)
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
            f"the multipart body is empty; send a file in the field `{parser.image_fields[0]}`"
        )
    raise BrokenRequest(
        "the multipart body ends before its last boundary (--BOUNDARY--): it is cut off; send all "
        "of it"
    )


async def _read(items: _Items, parser: _FormParser) -> Upload:
    usual, names = parser.image_fields[0], parser.image_fields
    images = [(name, value) for name, value in items if name in names]
    others = [(name, value) for name, value in items if name not in names and value != ""]
    fields = list(dict.fromkeys(name for name, _ in images))  # in the order of the body
    _check_files(usual, fields, [name for name, value in others if isinstance(value, UploadFile)])
    texts = iter(read_each(partial(_binary, usual), parser.images_as_text))
    contents: list[Content] = [
        await value.read() if isinstance(value, UploadFile) else next(texts) for _, value in images
    ]
    is_list = len(contents) > 1 or IMAGES_FIELD in fields
    if not is_list and isinstance(contents[0], BrokenRequest):
        raise contents[0]
    options = unique_options((name, value) for name, value in others if isinstance(value, str))
    return Upload(contents, options, is_list)


def _check_files(usual: str, fields: Sequence[str], others: Sequence[str]) -> None:
    """Check the names of the fields that have images, and of other fields that have files."""
    if not fields and others:
        raise BrokenRequest(
            f"the file is in the field `{shorten(others[0])}`; send it in the field `{usual}`"
        )
    if not fields:
        raise BrokenRequest(f"there are no images; send a file in the field `{usual}`")
    if others:
        raise BrokenRequest(
            f"there is a second file, in the field `{shorten(others[0])}`; send images in the "
            f"field `{usual}`"
        )
    if len(fields) > 1:
        raise BrokenRequest(f"there are {' and '.join(f'`{n}`' for n in fields)}; send one of them")


def _binary(field: str, content: bytes) -> bytes:
    """The image that is sent without a file name; no image is UTF-8 without a zero byte."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if "\0" in text:
        return content
    raise BrokenRequest(f"the field `{field}` is text; send a file: curl -F {field}=@cat.jpg")
