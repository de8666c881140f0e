"""An image of a batch job: as its source lists it, and after it is explained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.errors import ServiceError
from service.imaging.pictures import Loaded
from service.runtime.jobs import Explanation


@dataclass(frozen=True)
class ImageKey:
    """The identity of an image within a batch job.

    Attributes
    ----------
    index : int
        Its place in the source, from 0.
    path : str or None
        Its path as the source gives it; None where a Parquet file has bytes only.
    label : int or None
        Index of its true class, where the source says so.
    """

    index: int
    path: str | None = None
    label: int | None = None


@dataclass(frozen=True)
class SourceImage:
    """An image before it is decoded: the path of its file, its bytes, or None if it has neither."""

    key: ImageKey
    content: Path | bytes | None


@dataclass(frozen=True, eq=False)
class ImageResult:
    """An explained image.

    Attributes
    ----------
    key : ImageKey
        Which image it is.
    loaded : Loaded or None
        The decoded image; None if it could not be decoded.
    outcome : Explanation or ServiceError
        The explanation, or why there is none.
    """

    key: ImageKey
    loaded: Loaded | None
    outcome: Explanation | ServiceError
