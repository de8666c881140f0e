"""What can be asked for: composites, attributors, and their parameters. A leaf, as data.

It drives the wire's schema, `/models`, the command line and the tests. `service.lrp.composites`
maps each composite to rules; adding one is one entry here and one there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from service.errors import OptionError, OptionProblem

Start = Literal["one_hot", "logit"]
Value = float | bool


@dataclass(frozen=True)
class Parameter:
    """A number or a switch of a composite; `minimum` and `maximum` are included."""

    name: str
    default: Value
    text: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Composite:
    """A named map from layers to rules.

    Attributes
    ----------
    name, text, source : str
        The wire's name, one sentence of what it shows, and where it is from.
    parameters : tuple of Parameter
        What can be set.
    conserves : bool
        Whether the relevance that arrives is meant to equal the relevance at the start.
    """

    name: str
    text: str
    source: str
    parameters: tuple[Parameter, ...]
    conserves: bool


@dataclass(frozen=True)
class Attributor:
    """A way to use the (modified) gradient."""

    name: str
    text: str
    source: str


EPSILON = Parameter(
    "epsilon",
    1e-6,
    "Stabilizer of the epsilon rule in linear layers: larger values suppress weak evidence",
    minimum=1e-9,
    maximum=1e3,
)
STABILIZER = Parameter(
    "stabilizer",
    1e-6,
    "Stabilizer of all other rules: keeps denominators away from 0",
    minimum=1e-9,
    maximum=1e3,
)
ZERO_BIAS = Parameter(
    "zero_bias",
    False,
    "Leave biases out of the rules, so that they absorb no relevance",
)
_LRP_PARAMETERS = (EPSILON, STABILIZER, ZERO_BIAS)

COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        composite.name: composite
        for composite in (
            Composite(
                "epsilon_plus_flat",
                "Positive contributions in convolutions, spread evenly over the pixels that the "
                "first layer sees: smooth maps of where the evidence lies.",
                "Lapuschkin et al. 2019, Nature Communications 10:1096; "
                "Kohlbrenner et al. 2020, arXiv:1910.09840",
                _LRP_PARAMETERS,
                conserves=True,
            ),
            Composite(
                "epsilon_plus",
                "As epsilon_plus_flat, but the first layer too follows its weights: "
                "sharper maps that follow edges and colours.",
                "Kohlbrenner et al. 2020, arXiv:1910.09840",
                _LRP_PARAMETERS,
                conserves=True,
            ),
            Composite(
                "none",
                "The plain gradient: how the output changes with each pixel, not how much each "
                "pixel contributes.",
                "Simonyan et al. 2014, arXiv:1312.6034",
                (),
                conserves=False,
            ),
        )
    }
)
ATTRIBUTORS: Mapping[str, Attributor] = MappingProxyType(
    {
        "gradient": Attributor(
            "gradient",
            "One backward pass, modified by the composite's rules.",
            "Bach et al. 2015, PLOS ONE 10(7):e0130140",
        )
    }
)
LAYERS = ("input",)
DEFAULT_COMPOSITE = "epsilon_plus_flat"
DEFAULT_ATTRIBUTOR = "gradient"


@dataclass(frozen=True)
class Method:
    """A composite and an attributor with every parameter set; can be a key.

    Attributes
    ----------
    composite, attributor : str
        Keys of `COMPOSITES` and `ATTRIBUTORS`.
    parameters : tuple of (str, float or bool)
        Every parameter that the composite has, in its order.
    """

    composite: str = DEFAULT_COMPOSITE
    attributor: str = DEFAULT_ATTRIBUTOR
    parameters: tuple[tuple[str, Value], ...] = field(
        default=tuple((p.name, p.default) for p in _LRP_PARAMETERS)
    )

    @property
    def conserves(self) -> bool:
        """Whether the sum of the relevance is meant to be that of the start."""
        return COMPOSITES[self.composite].conserves

    def __getitem__(self, name: str) -> Value:
        return dict(self.parameters)[name]

    def describe(self) -> dict[str, Any]:
        """All of it by name, for a response."""
        return {
            "attributor": self.attributor,
            "composite": self.composite,
            **dict(self.parameters),
        }


def make_method(composite: str, attributor: str, given: Mapping[str, Value]) -> Method:
    """Complete a method with its composite's defaults.

    Parameters
    ----------
    composite, attributor : str
        Keys of `COMPOSITES` and `ATTRIBUTORS`.
    given : mapping of str to float or bool
        Parameters that were asked for.

    Raises
    ------
    OptionError
        A parameter that the composite does not have.
    """
    parameters = COMPOSITES[composite].parameters
    names = [parameter.name for parameter in parameters]
    allowed = ", ".join(names) or "none"
    problems = [
        OptionProblem(name, f"the composite {composite} has no such parameter; it has: {allowed}")
        for name in given
        if name not in names
    ]
    if problems:
        raise OptionError(problems)
    values = tuple((p.name, given.get(p.name, p.default)) for p in parameters)
    return Method(composite, attributor, values)
