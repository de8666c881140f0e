"""A method made ready for a network: what computes it, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.lrp.attribution.gradient import TwinGradient
from service.lrp.zennit_reference import ZennitGradient
from service.methods import Start

EngineName = Literal["twin", "zennit"]


@dataclass(frozen=True, eq=False)
class PreparedMethod:
    """What computes a method on a network.

    Attributes
    ----------
    gradient : TwinGradient or ZennitGradient
        Computes relevance.
    engine : {"twin", "zennit"}
        Which of them it is.
    default_start : {"one_hot", "logit"}
        The output relevance with which positive relevance speaks for the target.
    recorded_layers : tuple of str
        Names of the layers whose relevance is summed.
    layers_without_rule : tuple of str
        Layers and functions that pass a plain gradient though the method has rules.
    is_batch_first : bool
        Whether each image of a batch can have stabilizers of its own.
    weights : dict of int to int
        Sizes in bytes of the modified weights, by their addresses.
    """

    gradient: TwinGradient | ZennitGradient
    engine: EngineName
    default_start: Start
    recorded_layers: tuple[str, ...]
    layers_without_rule: tuple[str, ...]
    is_batch_first: bool
    weights: dict[int, int]
