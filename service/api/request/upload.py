"""An upload: the images of a request and their options. A list of images has errors in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from service.errors import BrokenRequest, OptionError, OptionProblem

IMAGE_FIELD, IMAGES_FIELD = "image", "images"
Content = bytes | BrokenRequest
T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """The images of a request, and the options as they were sent.

    Attributes
    ----------
    images : sequence of (bytes or BrokenRequest)
        Files; in a list of images, an error in the place of each that cannot be read.
    options : mapping of str to Any
        Options of all images.
    is_list : bool
        Whether the images are a list, so that the response has a list, too.
    """

    images: Sequence[Content]
    options: Mapping[str, Any]
    is_list: bool = False


def read_each(read: Callable[[T], bytes], values: Iterable[T]) -> list[Content]:
    """Read the images of a list; one that cannot be read is its error."""

    def read_one(value: T) -> Content:
        try:
            return read(value)
        except BrokenRequest as error:
            return error

    return [read_one(value) for value in values]


def unique_options(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The options by name.

    Raises
    ------
    OptionError
        An option is repeated.
    """
    pairs = list(pairs)
    counts = Counter(name for name, _ in pairs)
    repeated = tuple(name for name, n in counts.items() if n > 1)
    if repeated:
        raise repeated_options(repeated)
    return dict(pairs)


def repeated_options(names: tuple[str, ...]) -> OptionError:
    """The error of options that are given more than once."""
    return OptionError([OptionProblem(name, "is given more than once") for name in names])
