"""TIFF files: which page is the picture, and what Pillow would read wrongly or not at all.

Sources: TIFF 6.0; Adobe's TIFF Technical Notes for NewSubfileType, SubIFDs and DNG.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from PIL import Image, ImagePalette, TiffImagePlugin

from service.imaging.formats import unreadable

NEW_SUBFILE_TYPE, SUBFILE_TYPE, BITS_PER_SAMPLE, COMPRESSION = 254, 255, 258, 259
PHOTOMETRIC, SAMPLES_PER_PIXEL, COLOR_MAP, SUB_IFDS = 262, 277, 320, 330
INK_SET, SAMPLE_FORMAT, DNG_VERSION = 332, 339, 50706
IMAGE_WIDTH, IMAGE_LENGTH, TILE_WIDTH, TILE_LENGTH = 256, 257, 322, 323
_WANTED = frozenset(
    {NEW_SUBFILE_TYPE, SUBFILE_TYPE, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, SAMPLES_PER_PIXEL}
    | {IMAGE_WIDTH, IMAGE_LENGTH, SUB_IFDS, INK_SET, SAMPLE_FORMAT, DNG_VERSION}
    | {TILE_WIDTH, TILE_LENGTH}
)
_MAX_PAGES, _MAX_TAGS, _MAX_VALUES = 100, 512, 16
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # of SubfileType
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _SEPARATED = 0, 1, 5
_PHOTOMETRICS = {
    0: "grey (white is zero)",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: "ICC LAB",
    10: "ITU LAB",
    32803: "camera raw (CFA)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "camera raw (linear)",
}
_SAMPLE_FORMATS = {2: "signed samples", 3: "floating-point samples"}
_COMPRESSIONS = {
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_BASIC_COMPRESSIONS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946))
# type -> struct format of the integers in a tag
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # by type

# Pillow's own reader takes 16-bit samples in separate planes for 8-bit ones; libtiff does not
TiffImagePlugin.READ_LIBTIFF = True


@dataclass(frozen=True)
class Tag:
    """Integers of a tag, and the position of the first in the file."""

    values: tuple[int, ...]
    position: int


@dataclass(frozen=True)
class Page:
    """A directory (IFD) of a TIFF."""

    position: int
    tags: dict[int, Tag]

    def get(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.tags[tag].values[0] if tag in self.tags else default

    @property
    def is_picture(self) -> bool:
        """Whether it is neither a thumbnail nor a transparency mask."""
        is_other = self.get(NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK)
        return not is_other and self.get(SUBFILE_TYPE, 0) != _OLD_REDUCED

    @property
    def n_bits(self) -> int:
        """Largest number of bits per sample."""
        return max(self.tags[BITS_PER_SAMPLE].values) if BITS_PER_SAMPLE in self.tags else 1


@dataclass(frozen=True)
class TiffFile:
    """A TIFF as Pillow reads it rightly.

    Attributes
    ----------
    content : bytes
        The file, whose first page is the picture.
    page : Page
        The picture's directory.
    is_inverted : bool
        Whether the decoded grey levels have to be inverted.
    """

    content: bytes
    page: Page
    is_inverted: bool = False


def read_tiff(content: bytes) -> TiffFile:
    """Choose the page of a TIFF, and change the tags that Pillow disregards.

    Raises
    ------
    UnsupportedMediaType
        Something in the file is not read.
    struct.error, ValueError
        The file is damaged.
    """
    page, is_first = _find_picture(content)
    if not page.is_picture and (SUB_IFDS in page.tags or DNG_VERSION in page.tags):
        raise unreadable(content, "camera raw data and only a thumbnail beside it")
    reason = _unread(page)
    if reason is not None:
        raise unreadable(content, reason)
    is_inverted = page.get(PHOTOMETRIC, 0) == _WHITE_IS_ZERO and page.n_bits > 8
    if is_first and not is_inverted:
        return TiffFile(content, page)
    return TiffFile(_rewritten(content, page, is_inverted), page, is_inverted)


def decoded_size(content: bytes) -> tuple[int, int]:
    """Width and height of the picture of a TIFF in whole tiles, as they are decoded, in pixels.

    Raises
    ------
    UnsupportedMediaType, struct.error, ValueError
        As `read_tiff` does.
    """
    page, _ = _find_picture(content)
    sides = (page.get(IMAGE_WIDTH, 0), page.get(IMAGE_LENGTH, 0))
    tile = (page.get(TILE_WIDTH, 1) or 1, page.get(TILE_LENGTH, 1) or 1)
    width, height = (-(-side // step) * step for side, step in zip(sides, tile, strict=True))
    return width, height


def _find_picture(content: bytes) -> tuple[Page, bool]:
    """The first page that is a picture, else the first of all; and whether it is the first."""
    if content[:4] == b"MM\0+":
        raise unreadable(content, "64-bit offsets in big-endian order (BigTIFF)")
    pages = islice(_pages(content), _MAX_PAGES)
    first = next(pages)
    page = first if first.is_picture else next((page for page in pages if page.is_picture), first)
    if IMAGE_WIDTH not in page.tags or IMAGE_LENGTH not in page.tags:
        raise ValueError("the TIFF does not say how large it is")
    return page, page is first


def describe(page: Page) -> str:
    """Kind of a page's pixels, for an error."""
    code = page.get(PHOTOMETRIC, 0)
    kind = _PHOTOMETRICS.get(code, f"photometric interpretation {code}")
    n_samples = page.get(SAMPLES_PER_PIXEL, 1)
    return f"{kind} pixels of {n_samples} x {page.n_bits} bits"


def unread_compression(page: Page) -> str | None:
    """The compression of a page, unless every libtiff has it."""
    code = page.get(COMPRESSION, 1)
    if code in _BASIC_COMPRESSIONS:
        return None
    return f"{_COMPRESSIONS.get(code, f'number {code}')} compression"


def correct_palette(image: Image.Image) -> None:
    """Take a palette whose values are all below 256 for one of 8 bits, as libtiff does."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in ("P", "PA"):
        return
    palette = image.tag_v2[COLOR_MAP]
    if max(palette) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(palette))


def _unread(page: Page) -> str | None:
    """What about a page is not read."""
    formats = set(page.tags[SAMPLE_FORMAT].values if SAMPLE_FORMAT in page.tags else (1,))
    for code in formats - {1, 4}:
        return f"{page.n_bits}-bit {_SAMPLE_FORMATS.get(code, f'samples of format {code}')}"
    if page.n_bits > 16:
        return f"{page.n_bits} bits per channel"
    if page.get(PHOTOMETRIC, 0) == _SEPARATED and page.get(INK_SET, 1) != 1:
        return "inks that are not CMYK"
    return None


def _pages(content: bytes) -> Iterator[Page]:
    """The chain of pages."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = content[2:4] == b"+\0"
    first = 8 if is_big else 4
    (position,) = struct.unpack_from(order + ("Q" if is_big else "I"), content, first)
    seen: set[int] = set()
    while position and position not in seen:
        seen.add(position)
        page, position = _page(content, order, is_big, position)
        yield page
    if not seen:
        raise ValueError("the TIFF has no page")


def _page(content: bytes, order: str, is_big: bool, position: int) -> tuple[Page, int]:
    """A page, and the position of the next (0 at the end)."""
    head, entry, offset = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    (n_tags,) = struct.unpack_from(order + head, content, position)
    n_inline = struct.calcsize(order + offset)
    entry_bytes = struct.calcsize(order + entry) + n_inline
    start = position + struct.calcsize(order + head)
    tags: dict[int, Tag] = {}
    end, n_bytes = start + n_tags * entry_bytes, 0
    if n_tags > _MAX_TAGS or end + n_inline > len(content):
        raise ValueError("a directory of the TIFF is too long")
    for at in range(start, end, entry_bytes):
        tag, kind, count = struct.unpack_from(order + entry, content, at)
        n_bytes += count * _TYPE_BYTES[kind] if kind < len(_TYPE_BYTES) else 0
        if n_bytes > len(content):  # Pillow would copy the same bytes for each tag
            raise ValueError("tags of the TIFF overlap")
        if tag not in _WANTED or kind not in _INTEGERS or count == 0:
            continue
        values = order + str(min(count, _MAX_VALUES)) + _INTEGERS[kind]
        value_at = at + entry_bytes - n_inline
        if struct.calcsize(values) > n_inline:
            (value_at,) = struct.unpack_from(order + offset, content, value_at)
        tags.setdefault(tag, Tag(struct.unpack_from(values, content, value_at), value_at))
    (following,) = struct.unpack_from(order + offset, content, end)
    return Page(position, tags), following


def _rewritten(content: bytes, page: Page, is_inverted: bool) -> bytes:
    """The file with a page as its first, perhaps with black as zero."""
    order = "<" if content[:2] == b"II" else ">"
    changed = bytearray(content)
    if content[2:4] == b"+\0":
        struct.pack_into(order + "Q", changed, 8, page.position)
    else:
        struct.pack_into(order + "I", changed, 4, page.position)
    if is_inverted and PHOTOMETRIC in page.tags:
        struct.pack_into(order + "H", changed, page.tags[PHOTOMETRIC].position, _BLACK_IS_ZERO)
    return bytes(changed)
