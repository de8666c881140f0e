"""A method: a composite and an attributor with every parameter set, and a layer. Can be a key."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from typing import Any

from service.errors import OptionError, join_names
from service.methods.attributors import (
    ATTRIBUTORS,
    DEFAULT_ATTRIBUTOR,
    SAMPLES_OF,
    count_windows,
    occlusion_grid,
)
from service.methods.composites import COMPOSITES, DEFAULT_COMPOSITE, PLAIN
from service.methods.parameters import (
    EPSILON,
    STABILIZER,
    Parameter,
    Value,
    check_names,
    with_defaults,
)
from service.methods.rules import RULES, Assignment

INPUT = "input"
CUSTOM = "custom"
Rules = tuple[Assignment, ...]
Values = tuple[tuple[str, Value], ...]
_STABILIZERS = (EPSILON.name, STABILIZER.name)  # arguments of a call: see Method.stabilizers


def _resolve(composite: str, values: Values) -> Rules:
    return tuple(rule.resolve(dict(values)) for rule in COMPOSITES[composite].rules)


_DEFAULTS = with_defaults(COMPOSITES[DEFAULT_COMPOSITE].parameters, {})


@dataclass(frozen=True)
class Method:
    """How an image is explained; `Method()` is the default of the service.

    Attributes
    ----------
    composite : str
        A key of `COMPOSITES`, the name of a composite of a bundle, or `custom`.
    attributor : str
        A key of `ATTRIBUTORS`.
    parameters : tuple of (str, float, bool or str)
        Every parameter that the composite and the attributor have, in their order.
    rules : tuple of Assignment
        The composite's rules with every value set.
    layer : str
        `input`, or the layer at whose output the relevance is computed.
    layers : tuple of str
        Layers whose relevance is kept beside that of the input, from the same pass.
    sums_channels : bool
        Whether the relevance of these layers is summed over their channels.
    """

    composite: str = DEFAULT_COMPOSITE
    attributor: str = DEFAULT_ATTRIBUTOR
    parameters: Values = _DEFAULTS
    rules: Rules = field(default=_resolve(DEFAULT_COMPOSITE, _DEFAULTS))
    layer: str = INPUT
    layers: tuple[str, ...] = ()
    sums_channels: bool = True

    @property
    def is_named(self) -> bool:
        """Whether the composite is one of `COMPOSITES`."""
        return self.composite in COMPOSITES

    @property
    def conserves(self) -> bool:
        """Whether the sum of the relevance is meant to equal the output relevance."""
        if not ATTRIBUTORS[self.attributor].is_modified:
            return self.attributor == "integrated_gradients"
        if self.is_named:
            return COMPOSITES[self.composite].conserves
        return all(RULES[assignment.rule].conserves for assignment in self.rules)

    @cached_property
    def stabilizers(self) -> tuple[float, ...]:
        """What each of the rules adds to its denominators: `epsilon` or `stabilizer`, else 0."""
        return tuple(
            next((float(value) for name, value in entry.values if name in _STABILIZERS), 0.0)
            for entry in self.rules
        )

    @cached_property
    def batch_key(self) -> Hashable:
        """Methods with the same key differ in stabilizers only, and can share a batch."""
        return self.attributor, _without_stabilizers(self.parameters), self.prepared_key

    @cached_property
    def prepared_key(self) -> Hashable:
        """Methods with the same key share a twin."""
        rules = tuple(replace(e, values=_without_stabilizers(e.values)) for e in self.rules)
        places = (self.layer, self.layers, self.sums_channels)
        return self.composite, rules, places, self.conserves

    def n_passes(self, n_targets: int, input_size: tuple[int, int]) -> int:
        """Passes of one image: samples times targets; windows, which serve all targets."""
        if self.attributor == "occlusion":
            return count_windows(input_size, int(self["stride"]))
        name = SAMPLES_OF.get(self.attributor)
        return n_targets * (int(self[name]) if name else 1)

    def __getitem__(self, name: str) -> Value:
        return dict(self.parameters)[name]

    def describe(self) -> dict[str, Any]:
        """Every effective parameter by name, for a response."""
        rules = [] if self.is_named else [("rules", [rule.describe() for rule in self.rules])]
        return {
            "attributor": self.attributor,
            "composite": self.composite,
            **dict(self.parameters),
            **dict(rules),
        }


def _without_stabilizers(values: Values) -> Values:
    return tuple((name, value) for name, value in values if name not in _STABILIZERS)


@cache
def all_parameters() -> Mapping[str, Parameter]:
    """Every parameter that a request can set, by its name."""
    of_composites = [parameter for one in COMPOSITES.values() for parameter in one.parameters]
    of_attributors = [parameter for one in ATTRIBUTORS.values() for parameter in one.parameters]
    return {parameter.name: parameter for parameter in (*of_composites, *of_attributors)}


def make_method(
    composite: str | Rules | None,
    attributor: str,
    given: Mapping[str, Value],
    *,
    input_size: tuple[int, int] = (32, 32),
    layer: str = INPUT,
    own: Mapping[str, Rules] | None = None,
) -> Method:
    """Make a method, with defaults for the parameters that are not given.

    Parameters
    ----------
    composite : str, tuple of Assignment or None
        A key of `COMPOSITES` or of `own`, rules, or None for the attributor's default.
    attributor : str
        A key of `ATTRIBUTORS`.
    given : mapping of str to float, bool or str
        Parameters of the request, within their bounds.
    input_size : tuple of 2 int
        Height and width of the network's input, in pixels.
    layer : str
        The layer at whose output the relevance is computed.
    own : mapping of str to rules, optional
        Composites of the model's bundle.

    Raises
    ------
    OptionError
        Neither the composite nor the attributor has a parameter, or options contradict each other.
    """
    known = (own or {}).get(composite) if isinstance(composite, str) else None
    values = tuple(given.items())
    # rules of clients are not kept: a thousand lists of 256 entries take hundreds of megabytes
    is_kept = composite is None or isinstance(composite, str)
    make = _make_method if is_kept else _make_method.__wrapped__
    return make(composite, attributor, values, input_size, layer, tuple(own or ()), known)


@lru_cache(maxsize=64)
def _make_method(
    composite: str | Rules | None,
    attributor: str,
    given: Values,
    input_size: tuple[int, int],
    layer: str,
    own_names: tuple[str, ...],
    own_rules: Rules | None,
) -> Method:
    """`make_method` with hashable arguments: most requests use the same few methods."""
    spec = ATTRIBUTORS[attributor]
    if composite is None:
        composite = DEFAULT_COMPOSITE if spec.is_modified else PLAIN
    if not spec.is_modified:
        _check_plain(attributor, composite, layer)
    named = COMPOSITES.get(composite) if isinstance(composite, str) else None
    rules = () if named else _rules_of(composite, own_names, own_rules)
    has = named.parameters if named else ()
    owner = f"the composite {composite if isinstance(composite, str) else CUSTOM}"
    if spec.parameters:
        owner += f" with the attributor {attributor}"
    chosen = dict(given)
    check_names(owner, (*has, *spec.parameters), chosen)
    if attributor == "occlusion":
        chosen |= occlusion_grid(chosen, input_size)
    composite_values = with_defaults(has, chosen)
    attributor_values = with_defaults(spec.parameters, chosen)
    method = Method("", attributor, (*composite_values, *attributor_values), (), layer)
    if named:
        return replace(method, composite=named.name, rules=_resolve(named.name, composite_values))
    name = composite if isinstance(composite, str) else CUSTOM
    return replace(method, composite=name, rules=rules)


def _check_plain(attributor: str, composite: str | Rules, layer: str) -> None:
    if composite != PLAIN:
        raise OptionError.of(
            "composite", f"must be {PLAIN} with {attributor}, which explains the plain network"
        )
    if layer != INPUT:
        raise OptionError.of("layer", f"must be {INPUT} with {attributor}")


def _rules_of(composite: str | Rules, own_names: tuple[str, ...], own_rules: Rules | None) -> Rules:
    if not isinstance(composite, str):
        return composite
    if own_rules is None:
        names = join_names([*COMPOSITES, *own_names])
        raise OptionError.of("composite", f"must be one of: {names}; or a list of rules")
    return own_rules
