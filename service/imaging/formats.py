"""Image formats: which are read, and errors that name what is not.

Pillow says no more than that it cannot identify a file. The errors here say which format it is and
what about it is not read.
"""

from __future__ import annotations

import re

from PIL import AvifImagePlugin, features

from service.errors import NotAnImage, ServiceError, UnsupportedMediaType

HAS_AVIF = bool(features.check("avif"))
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if HAS_AVIF else []))
FORMAT_NAMES = "PNG, JPEG, WebP, GIF, BMP" + (", TIFF or AVIF" if HAS_AVIF else " or TIFF")
# of files that are taken as images in folders
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif"),
)
# files that start so are of the format, however damaged the rest is
_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0\0\0\0",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
}
_OTHER_FORMATS = {
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG XR": rb"II\xbc[\0\1]",
    "SVG": rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)",
    "PDF": rb"%PDF-",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "ICO": rb"\0\0[\1\2]\0[^\0]\0",
    "ICNS": rb"icns",
    "PSD": rb"8BPS",
    "PPM": rb"P[1-7]\s",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "Radiance HDR": rb"#\?(RADIANCE|RGBE)",
    "DICOM": rb".{128}DICM",
    "FITS": rb"SIMPLE  =",
    "MNG": rb"\x8aMNG",
    "JNG": rb"\x8bJNG",
}
# ISO/IEC 23008-12: brands of still images and sequences that are coded with HEVC
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..(.)....(.)", re.DOTALL)
_LOSSLESS_JPEG = (0xC3, 0xC7, 0xCB, 0xCF)

# dav1d would start a thread for each core; the executor decodes several images at once
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def unreadable(content: bytes, reason: str | None = None) -> ServiceError:
    """The error for a file that Pillow cannot open.

    Parameters
    ----------
    content : bytes
        The file.
    reason : str or None
        What about it is not read, where that is known.
    """
    name = format_of(content)
    if name is None:
        return NotAnImage(
            f"the bytes are not a {FORMAT_NAMES} image that can be read; send a whole image file"
        )
    if name not in (*_SIGNATURES, "AVIF") or (name == "AVIF" and not HAS_AVIF):
        return UnsupportedMediaType(f"{name} is not read; convert the image to {FORMAT_NAMES}")
    reason = reason or (_unread_jpeg(content) if name == "JPEG" else None)
    if reason is not None:
        return UnsupportedMediaType(
            f"{name} with {reason} is not read; convert the image to an 8-bit PNG"
        )
    return broken(name)


def broken(name: str) -> NotAnImage:
    """The error for a damaged file of a format that is read."""
    return NotAnImage(
        f"the image is broken: its header says {name}, but it cannot be decoded (truncated or "
        "damaged); send the whole file"
    )


def format_of(content: bytes) -> str | None:
    """Name of the format by the first bytes."""
    brand_name = _name_by_brands(content)
    if brand_name is not None:
        return brand_name
    for name, start in (_SIGNATURES | _OTHER_FORMATS).items():
        if re.match(start, content[:1000], re.DOTALL):
            return name
    return None


def _name_by_brands(content: bytes) -> str | None:
    """Name of a format of the HEIF family by the brands in its `ftyp` box."""
    if content[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(content[:4], "big"), 256)
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIC"
    if brands & _HEIF_BRANDS:
        return "HEIF"
    return None


def _unread_jpeg(content: bytes) -> str | None:
    """What about the header of a JPEG is not read."""
    frame = _JPEG_FRAME.search(content)
    if frame is None:
        return None
    n_bits, n_components = frame[1][0], frame[2][0]
    if content[frame.start() + 1] in _LOSSLESS_JPEG:
        return "lossless compression"
    if n_bits != 8:
        return f"{n_bits} bits per channel"
    if n_components not in (1, 3, 4):
        return f"{n_components} channels"
    return None
