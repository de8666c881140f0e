"""Methods mapped to zennit's composites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zennit.composites import EpsilonPlus, EpsilonPlusFlat
from zennit.core import Composite

from service.methods import Method


def _lrp_arguments(method: Method) -> dict[str, Any]:
    return {
        "epsilon": method["epsilon"],
        "stabilizer": method["stabilizer"],
        "zero_params": ["bias"] if method["zero_bias"] else None,
    }


FACTORIES: Mapping[str, Callable[[Method], Composite | None]] = {
    "epsilon_plus_flat": lambda method: EpsilonPlusFlat(**_lrp_arguments(method)),
    "epsilon_plus": lambda method: EpsilonPlus(**_lrp_arguments(method)),
    "none": lambda method: None,
}


def make_composite(method: Method) -> Composite | None:
    """Make the composite of a method; None for the plain gradient."""
    return FACTORIES[method.composite](method)
