"""The option `layers`: several layers whose relevance one pass through the network gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from service.errors import OptionError, join_names
from service.methods import DEFAULT_ATTRIBUTOR, INPUT
from service.runtime.jobs import LayerInfo

ALL_LAYERS = "all"


def _split(value: Any) -> Any:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be `{ALL_LAYERS}`, or names: a list, or separated by commas")
    names = [name.strip() for name in names]
    if not names or not all(names) or len(set(names)) < len(names):
        raise ValueError(f"must be `{ALL_LAYERS}`, or names of layers, each of them once")
    return tuple(names)


LayerNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]


def select_layers(
    names: Sequence[str], layer: str, attributor: str, layers: Sequence[LayerInfo]
) -> tuple[LayerInfo, ...]:
    """Select the layers that `layers` names, in the order of the model's.

    Parameters
    ----------
    names : sequence of str
        As the request has them: `all`, or names.
    layer, attributor : str
        The options beside them.
    layers : sequence of LayerInfo
        The model's layers; empty while it is not loaded.

    Raises
    ------
    OptionError
        There is no such layer, or the options contradict each other.
    """
    if layer != INPUT:
        raise OptionError.of("layer", "does not go with `layers`; leave one of them out")
    if attributor != DEFAULT_ATTRIBUTOR:
        raise OptionError.of(
            "layers",
            f"need the attributor {DEFAULT_ATTRIBUTOR}; with {attributor} give one `layer`, if it "
            "has any",
        )
    if tuple(names) == (ALL_LAYERS,) or not layers:
        return tuple(layers)
    if not {info.name for info in layers} >= set(names):
        known = join_names(info.name for info in layers)
        raise OptionError.of("layers", f"must be {ALL_LAYERS}, or among: {known}")
    return tuple(info for info in layers if info.name in names)
