"""Changes of whole images that may be artefacts: of colour, of compression, of sharpness."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from service.runtime.jobs import Pixels

Transform = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Transformation:
    """A change of images, uint8 of shape (N, H, W, 3).

    Attributes
    ----------
    text : str
        What it does, for people.
    apply : callable
        Makes the changed images.
    revert : callable
        Takes such a change back as far as possible: where information is lost, it hides the traces.
    """

    text: str
    apply: Transform
    revert: Transform


def _on_tensors(change: Callable[[Tensor], Tensor]) -> Transform:
    def transform(pixels: Pixels) -> Pixels:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return np.ascontiguousarray(change(images).permute(0, 2, 3, 1).numpy())

    return transform


def _hue(degrees: float) -> Transform:
    return _on_tensors(partial(functional.adjust_hue, hue_factor=degrees / 360))


def _saturation(factor: float) -> Transform:
    return _on_tensors(partial(functional.adjust_saturation, saturation_factor=factor))


def _brightness(factor: float) -> Transform:
    return _on_tensors(partial(functional.adjust_brightness, brightness_factor=factor))


def _contrast(factor: float) -> Transform:
    return _on_tensors(partial(functional.adjust_contrast, contrast_factor=factor))


def _blur(sigma: float) -> Transform:
    return _on_tensors(partial(functional.gaussian_blur, kernel_size=[5, 5], sigma=[sigma]))


def _sharpen(factor: float) -> Transform:
    return _on_tensors(partial(functional.adjust_sharpness, sharpness_factor=factor))


def _tint(red: float, blue: float) -> Transform:
    def transform(pixels: Pixels) -> Pixels:
        tinted: Pixels = (pixels * np.array([red, 1, blue])).round().clip(0, 255).astype(np.uint8)
        return tinted

    return transform


def _jpeg(quality: int) -> Transform:
    def one(pixels: Pixels) -> Pixels:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        with Image.open(file) as read:
            return np.asarray(read)

    return lambda pixels: np.stack([one(image) for image in pixels])


def _noise(deviation: float) -> Transform:
    def transform(pixels: Pixels) -> Pixels:
        noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
        return (pixels + noise).round().clip(0, 255).astype(np.uint8)

    return transform


_HUES = (-120, -60, -30, 30, 60, 120, 180)

TRANSFORMATIONS: Mapping[str, Transformation] = MappingProxyType(
    {
        **{
            f"hue{degrees:+d}": Transformation(
                f"hues turned by {degrees} degrees", _hue(degrees), _hue(-degrees)
            )
            for degrees in _HUES
        },
        "grey": Transformation("no colours", _saturation(0), _saturation(1)),
        "vivid": Transformation("twice the saturation", _saturation(2), _saturation(0.5)),
        "warm": Transformation("a reddish tint", _tint(1.2, 0.8), _tint(1 / 1.2, 1 / 0.8)),
        "cold": Transformation("a bluish tint", _tint(0.8, 1.2), _tint(1 / 0.8, 1 / 1.2)),
        "dark": Transformation("60% of the brightness", _brightness(0.6), _brightness(1 / 0.6)),
        "bright": Transformation("1.6 times the brightness", _brightness(1.6), _brightness(0.6)),
        "flat": Transformation("half the contrast", _contrast(0.5), _contrast(2)),
        "jpeg10": Transformation("JPEG of quality 10", _jpeg(10), _blur(0.7)),
        "jpeg25": Transformation("JPEG of quality 25", _jpeg(25), _blur(0.5)),
        "blur": Transformation("blurred by one pixel", _blur(1), _sharpen(3)),
        "sharp": Transformation("sharpened", _sharpen(4), _blur(0.7)),
        "noise": Transformation("noise of 16 grey levels", _noise(16), _blur(0.7)),
    }
)
