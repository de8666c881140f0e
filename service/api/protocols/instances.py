"""Bodies of KServe v1: several images in JSON, with options for all of them and for each.

| an instance                               | the image                                         |
| ----------------------------------------- | ------------------------------------------------- |
| `"..."`                                   | base64 of a file, or a data: URL                  |
| `[[[r, g, b], ...], ...]`                 | pixels of shape (H, W, 3), whole numbers to 255   |
| `{"b64": "..."}` and options              | base64 of a file, or a data: URL                  |
| `{"data": ...}` and options               | any of the above; also `image`, `image_bytes`,  |

Options for all stand at the top level or in `parameters`; those of an instance come before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.api.request.json_body import decode_base64, load_json
from service.api.request.upload import repeated_options
from service.errors import BrokenRequest, NotAnImage, ServiceError, too_many_images
from service.runtime.jobs import Pixels

MAX_VALUES = 1 << 20  # of JSON: 6 images of 224 x 224 pixels, which take 0.3 s to parse
IMAGE_NAMES = ("b64", "data", "image", "image_bytes", "body")
LISTS = ("instances", "inputs")  # the second is KServe's other name for the first
PARAMETERS = "parameters"
ELSEWHERE = frozenset({"image", "model"})  # beside the options, and in the path
_IGNORED = frozenset({"signature_name"})  # TensorFlow Serving's clients send it
_EXAMPLE = '{"instances": [{"b64": "<base64>"}]}'
_NUMBERS = frozenset({int, float})
_PIXELS = "pixels are whole numbers from 0 to 255 in an array of shape (H, W, 3)"


@dataclass(frozen=True)
class Instance:
    """An image, as a file or as pixels, and its options as they were sent."""

    image: bytes | Pixels
    options: Mapping[str, Any]


def parse_instances(body: bytes, max_images: int) -> list[Instance | ServiceError]:
    """Parse a body.

    Parameters
    ----------
    body : bytes
        JSON, or the JSON of a CloudEvent.
    max_images : int
        Bound on the number of instances.

    Returns
    -------
    list
        In the order of the instances; an error in place of one that cannot be read.

    Raises
    ------
    BrokenRequest
        It is not such a body.
    TooLarge
        It has too many instances, or too many values of JSON.
    OptionError
        An option is repeated.
    """
    fields = _unwrap_event(load_json(body, MAX_VALUES))
    if not isinstance(fields, dict):
        raise BrokenRequest(f"the body must be a JSON object: {_EXAMPLE}")
    values = _pop_list(fields)
    if len(values) > max_images:
        raise too_many_images(max_images)
    common = _options(fields)
    return [_outcome(value, common) for value in values]


def parse_instance(body: bytes, common: Mapping[str, Any]) -> Instance:
    """Parse a body that is one instance, as TorchServe's are.

    Parameters
    ----------
    body : bytes
        JSON.
    common : mapping of str to Any
        Options that stand elsewhere; those of the body come before them.

    Raises
    ------
    BrokenRequest
        It is not an instance.
    TooLarge
        It has too many values of JSON.
    OptionError
        An option is repeated.
    """
    return _read_instance(load_json(body, MAX_VALUES), common, "body", "data")


def _unwrap_event(fields: Any) -> Any:
    """The data of a structured CloudEvent; any other body as it is."""
    if not isinstance(fields, dict) or "specversion" not in fields:
        return fields
    if "data_base64" not in fields:
        return fields.get("data", fields)
    if str(fields.get("datacontenttype", "")).lower().startswith("image/"):
        return {LISTS[0]: [fields["data_base64"]]}
    try:
        return load_json(decode_base64(fields["data_base64"]), MAX_VALUES)
    except BrokenRequest as error:
        raise BrokenRequest(f"`data_base64` of the event: {error.detail}") from error


def _pop_list(fields: dict[str, Any]) -> list[Any]:
    given = [name for name in LISTS if name in fields]
    if len(given) != 1:
        number = "no `instances`" if not given else "both `instances` and `inputs`"
        raise BrokenRequest(f"the body has {number}; send {_EXAMPLE}")
    values = fields.pop(given[0])
    if not isinstance(values, list):
        raise BrokenRequest(f"`{given[0]}` must be a list: {_EXAMPLE}")
    if not values:
        raise BrokenRequest(f"`{given[0]}` is empty; send {_EXAMPLE}")
    return values


def _options(fields: dict[str, Any]) -> dict[str, Any]:
    """The options at the top of an object and in its `parameters`."""
    parameters = fields.pop(PARAMETERS, None)
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise BrokenRequest(f"`{PARAMETERS}` must be an object with options")
    repeated = tuple(name for name in parameters if name in fields)
    if repeated:
        raise repeated_options(repeated)
    options = {**fields, **parameters}
    return {name: value for name, value in options.items() if name not in _IGNORED}


def _outcome(value: Any, common: Mapping[str, Any]) -> Instance | ServiceError:
    try:
        return _read_instance(value, common)
    except ServiceError as error:
        return error


def _read_instance(
    value: Any, common: Mapping[str, Any], what: str = "instance", field: str = "b64"
) -> Instance:
    if not isinstance(value, dict):
        return Instance(_read_image(value), common)
    given = [name for name in IMAGE_NAMES if value.get(name) is not None]
    if len(given) != 1:
        number = "no image" if not given else f"{len(given)} images"
        raise BrokenRequest(f'the {what} has {number}; send one: {{"{field}": "<base64>"}}')
    image = value[given[0]]
    if isinstance(image, dict) and image.keys() == {"b64"}:  # as TensorFlow Serving has it
        image = image["b64"]
    others = {name: each for name, each in value.items() if name not in IMAGE_NAMES}  # are null
    return Instance(_read_image(image), {**common, **_options(others)})


def _read_image(value: Any) -> bytes | Pixels:
    if isinstance(value, str):
        return decode_base64(value)
    if isinstance(value, list):
        return _read_pixels(value)
    raise BrokenRequest("an image must be a string, base64 or a data: URL, or an array of pixels")


def _read_pixels(rows: list[Any]) -> Pixels:
    """The pixels of nested lists, row by row: other threads run in between."""
    try:
        arrays = [_read_row(row) for row in rows]
    except (TypeError, ValueError, OverflowError):
        raise NotAnImage(f"{_PIXELS}; these have other values, or rows of several sizes") from None
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        raise NotAnImage(f"{_PIXELS}; these rows have several sizes, or there are none")
    pixels = np.stack(arrays)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise NotAnImage(f"{_PIXELS}; these have the shape {pixels.shape}")
    is_pixel = (pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))
    if not is_pixel.all():
        wrong = pixels[~is_pixel][0]
        raise NotAnImage(f"{_PIXELS}; one of these is {wrong:g}: send them before normalization")
    return pixels.astype(np.uint8)


def _read_row(row: Any) -> NDArray[np.float64]:
    """The values of a row; numpy would take booleans and texts as numbers, too."""
    # as numbers at once: an array of texts takes the memory of its longest text for each
    array = np.array(row, dtype=np.float64)
    values = chain.from_iterable(row) if array.ndim == 2 else ()  # else its shape is refused
    if not _NUMBERS.issuperset(map(type, values)):
        raise TypeError
    return array
