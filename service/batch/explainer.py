"""The explainer of a batch job: decodes and explains images with one set of options.

The contract: each image has a result or an error of its own, and no error of an image is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from service.api.request.image import picture_spec
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import ResolvedExplain, resolve_explain
from service.batch.images import ImageResult, SourceImage
from service.errors import NotAnImage, ServiceError
from service.files import read_file
from service.imaging.decode import EncodedImage
from service.imaging.fit import FittedImage
from service.imaging.pictures import Loaded, PictureSpec, load_picture
from service.methods import INPUT
from service.models.card import read_card
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.runtime.jobs import Explanation
from service.settings import Settings

MAX_IMAGE_BYTES = 2**28
_MEASURED_FROM = 64  # images


def load_engine(settings: Settings, n_images: int) -> Engine:
    """Load the model of the settings on their first device.

    Parameters
    ----------
    settings : Settings
        The model and the device.
    n_images : int
        Images to come: for few, the batch size is not measured, as that takes longer than they do.
    """
    folder = find_bundle(settings.model, settings.models)
    name = read_card(folder).name
    engines = load_engines(
        *({name: folder}, settings.devices[0], settings.architectures),
        max_batch_size=settings.max_batch_size,
        measures_batches=n_images >= _MEASURED_FROM,
    )
    return engines[name]


def load_content(content: Path | bytes | None, spec: PictureSpec, max_pixels: int) -> Loaded:
    """Read an image file and fit it to the network.

    Raises
    ------
    ServiceError
        It cannot be read or decoded.
    """
    if content is None:
        raise NotAnImage("there is neither a file nor its bytes")
    if isinstance(content, Path):
        try:
            content = read_file(content, MAX_IMAGE_BYTES)
        except OSError as error:
            raise NotAnImage(f"the file cannot be read: {error.strerror}") from error
        except ValueError as error:  # a path with a null character
            raise NotAnImage(f"the file cannot be read: {error}") from error
    return load_picture(EncodedImage(content), spec, max_pixels)


class BatchExplainer:
    """An engine with the options of a job.

    Parameters
    ----------
    engine : Engine
        The network.
    resolved : ResolvedExplain
        The options, resolved against it.
    max_pixels : int
        Larger images are refused before they are decoded.
    """

    def __init__(self, engine: Engine, resolved: ResolvedExplain, max_pixels: int) -> None:
        self.engine, self.resolved, self.max_pixels = engine, resolved, max_pixels
        self.spec = picture_spec(resolved.options, engine.card)

    @classmethod
    def of_options(
        cls, engine: Engine, options: Mapping[str, Any], max_pixels: int
    ) -> BatchExplainer:
        """Make an explainer of options as `/explain` takes them.

        Raises
        ------
        OptionError
            Names every wrong option and what is allowed.
        """
        parsed = parse_options(ExplainOptions, options, {engine.card.name: engine.card})
        return cls(engine, resolve_explain(parsed, engine.card, engine.layers), max_pixels)

    @property
    def batch_size(self) -> int:
        """The best number of images to explain together."""
        resolved = self.resolved
        return self.engine.batch_size(resolved.method, has_evidence=resolved.has_evidence)

    @cached_property
    def relevance_shape(self) -> tuple[int, ...]:
        """Shape of an image's relevance, as `channels` says: (H, W), (C, H, W), (C,) or another."""
        layer = self.resolved.method.layer
        shapes = {info.name: info.shape for info in self.engine.layers}
        shape = (3, *self.engine.card.input_size) if layer == INPUT else shapes[layer]
        has_channels = len(shape) == 3 and self.resolved.has_picture
        return shape[1:] if has_channels and self.resolved.options.channels == "sum" else shape

    def describe_method(self) -> dict[str, Any]:
        """Every effective parameter of the method."""
        method, contrast = self.resolved.method, self.resolved.contrast
        return {
            **method.describe(),
            "start": self.resolved.options.start or self.engine.explainer.default_start(method),
            "contrast": None if contrast is None else self.engine.card.labels[contrast],
            "layer": method.layer,
        }

    def load(self, content: Path | bytes | None) -> Loaded | ServiceError:
        """Decode an image; safe to call on several threads."""
        try:
            return load_content(content, self.spec, self.max_pixels)
        except ServiceError as error:
            return error

    def explain(self, images: Sequence[FittedImage]) -> list[Explanation | ServiceError]:
        """Explain images together; a batch that fails, for lack of memory, is halved."""
        if not images:
            return []
        try:
            jobs = [self.resolved.job(image.pixels) for image in images]
            return self.engine.run(jobs)  # type: ignore[return-value]  # of explanations
        except ServiceError as error:
            if len(images) == 1:
                return [error]
        half = len(images) // 2
        return [*self.explain(images[:half]), *self.explain(images[half:])]

    def results(
        self, images: Sequence[SourceImage], loaded: Sequence[Loaded | ServiceError]
    ) -> Iterator[ImageResult]:
        """Explain a batch of decoded images; yields a result for each, in their order."""
        decoded = [one for one in loaded if not isinstance(one, ServiceError)]
        outcomes = iter(self.explain([image for image, _ in decoded]))
        for image, one in zip(images, loaded, strict=True):
            if isinstance(one, ServiceError):
                yield ImageResult(image.key, None, one)
            else:
                yield ImageResult(image.key, one, next(outcomes))
