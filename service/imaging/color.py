"""Conversion of decoded pixels to sRGB on white, as browsers show them.

LittleCMS converts, by the file's ICC profile. A profile that is damaged, or is for other pixels
than those of the file, is ignored. Transforms are cached; those of profiles that are sRGB, within
one of 255 levels, are skipped.
"""

from __future__ import annotations

import hashlib
import io
from functools import partial
from threading import Lock

import numpy as np
from cachetools import LRUCache
from PIL import Image, ImageCms

from service.imaging.strips import in_strips

_MAX_PROFILE_BYTES = 4 << 20
_MAX_TRANSFORMS = 16  # those of CMYK take up to 2 MB each
_COLOR_SPACE = slice(16, 20)  # in the header of a profile
_MODES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}
_GREY_MODES = ("1", "L", "LA")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}

_transforms: LRUCache[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = LRUCache(
    _MAX_TRANSFORMS
)
_lock = Lock()


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB, with transparency composited on white.

    Parameters
    ----------
    image : Image.Image
        Of 8 bits per channel.
    profile : bytes or None
        An ICC profile of the image's pixels.

    Returns
    -------
    Image.Image
        Mode RGB.
    """
    is_opaque_rgb = image.mode == "RGB" and not image.has_transparency_data
    if is_opaque_rgb and (not profile or _transform_for(image, profile) is None):
        return image
    return in_strips(image, "RGB", partial(_convert, profile=profile))


def _convert(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if not image.has_transparency_data:
        return _opaque_to_srgb(image, profile)
    rgba = image.convert("RGBA")
    opaque = rgba.getchannel("R") if image.mode in _GREY_MODES else rgba.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    return Image.composite(_opaque_to_srgb(opaque, profile), white, rgba.getchannel("A"))


def _opaque_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        return _apply(image, _lab_transform())
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    found = _transform_for(image, profile) if profile else None
    if found is None:
        return _in_mode(image, "RGB")
    transform, mode = found
    return _apply(_in_mode(image, mode), transform)


def _transform_for(
    image: Image.Image, profile: bytes
) -> tuple[ImageCms.ImageCmsTransform, str] | None:
    """The transform for the pixels of an image, and the mode that it takes."""
    mode = _MODES.get(profile[_COLOR_SPACE])
    if mode is None or not (mode == image.mode or (mode == "RGB" and image.mode == "L")):
        return None
    transform = _transform(profile, mode)
    return None if transform is None else (transform, mode)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image; without the copy that Pillow makes of one in the mode."""
    return image if image.mode == mode else image.convert(mode)


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted: Image.Image = transform.apply(image)
    converted.info.pop("icc_profile", None)
    return converted


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it is unusable, or changes nothing."""
    if len(profile) > _MAX_PROFILE_BYTES:
        return None
    key = (hashlib.sha256(profile).digest(), mode)
    with _lock:
        if key in _transforms:
            return _transforms[key]
    transform = _build(profile, mode)
    with _lock:
        _transforms[key] = transform
    return transform


def _build(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    return None if mode != "CMYK" and _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours on a grid, and all greys, change by at most one level."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    colors = greys if mode == "L" else np.concatenate([greys, grid])
    before = Image.fromarray(colors[None]).convert(mode)
    change = np.asarray(transform.apply(before)).astype(int) - np.asarray(before.convert("RGB"))
    return bool(np.abs(change).max() <= 1)


def _lab_transform() -> ImageCms.ImageCmsTransform:
    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, "LAB", "RGB")
