"""Registry of rules: how a layer propagates relevance from its output to its input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from service.errors import OptionError, join_names
from service.methods.parameters import (
    ALPHA,
    BETA,
    EPSILON,
    GAMMA,
    SMOOTHNESS,
    STABILIZER,
    ZERO_BIAS,
    Parameter,
    Value,
    check_names,
    with_defaults,
)
from service.text import shorten

Affects = Literal["affine", "averaging", "elementwise", "relu", "any"]
MAX_ASSIGNMENTS = 256  # of a composite in a request; ResNet152 has 155 convolutions


@dataclass(frozen=True)
class Rule:
    """How a layer propagates relevance from its output to its input.

    Attributes
    ----------
    name, text, source : str
        Its name in requests, a one-sentence description, and the publication.
    affects : str
        The layers that it applies to: `affine` (convolutions and dense layers), `averaging`
        (average pools, sums and affine layers), `elementwise` (activations and batch norm),
        `relu`, or `any`.
    parameters : tuple of Parameter
        Parameters of a request.
    conserves : bool
        Whether the sum of the relevance is kept, but for biases and stabilizers.
    divides_by_output : bool
        Whether relevance is divided by the layer's own output: where that is negative, the rule
        turns the sign of relevance that is not in proportion to it.
    """

    name: str
    text: str
    source: str
    affects: Affects
    parameters: tuple[Parameter, ...] = ()
    conserves: bool = True
    divides_by_output: bool = False


_BACH = "Bach et al. 2015, PLOS ONE 10(7):e0130140"
_MONTAVON_2017 = "Montavon et al. 2017, Pattern Recognition 65:211, arXiv:1512.02479"
_MONTAVON_2019 = "Montavon et al. 2019, LNCS 11700:193"
_LAPUSCHKIN = "Lapuschkin et al. 2019, Nature Communications 10:1096"

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            Rule(
                "epsilon",
                "In proportion to each input's contribution; epsilon absorbs weak ones.",
                f"{_BACH}, equation 58",
                "affine",
                (EPSILON, ZERO_BIAS),
                divides_by_output=True,
            ),
            Rule(
                "gamma",
                "As epsilon, but contributions of the output's own sign count 1 + gamma times.",
                f"{_MONTAVON_2019}; for inputs of any sign: Andéol et al. 2021, arXiv:2106.12465",
                "affine",
                (GAMMA, STABILIZER, ZERO_BIAS),
                divides_by_output=True,
            ),
            Rule(
                "zplus",
                "In proportion to each positive contribution.",
                f"{_MONTAVON_2017}; {_BACH}, equation 60 with alpha=1",
                "affine",
                (STABILIZER, ZERO_BIAS),
            ),
            Rule(
                "alpha_beta",
                "alpha times the share of positive contributions, less beta times that of "
                "negative ones; alpha - beta is 1.",
                f"{_BACH}, equation 60",
                "affine",
                (ALPHA, BETA, STABILIZER, ZERO_BIAS),
            ),
            Rule(
                "zbox",
                "For the layer that sees the pixels: contributions are counted from the lowest "
                "and the highest value that a pixel can have.",
                f"{_MONTAVON_2017}, equation 15",
                "affine",
                (STABILIZER, ZERO_BIAS),
            ),
            Rule(
                "wsquare",
                "In proportion to the squares of the weights, whatever the input.",
                f"{_MONTAVON_2017}, equation 12",
                "affine",
                (STABILIZER, ZERO_BIAS),
            ),
            Rule(
                "flat",
                "Evenly to all inputs that the output is connected to.",
                f"{_LAPUSCHKIN}, equation 8",
                "affine",
                (STABILIZER,),
            ),
            Rule(
                "norm",
                "In proportion to each input's contribution, for averages and sums.",
                f"{_BACH}, equation 56",
                "averaging",
                (STABILIZER,),
                divides_by_output=True,
            ),
            Rule("pass", "Unchanged.", _BACH, "elementwise"),
            Rule(
                "relu_deconvnet",
                "Its positive part, whether the unit was active or not.",
                "Zeiler and Fergus 2014, arXiv:1311.2901",
                "relu",
                conserves=False,
            ),
            Rule(
                "relu_guided_backprop",
                "Its positive part, where the unit was active.",
                "Springenberg et al. 2015, arXiv:1412.6806",
                "relu",
                conserves=False,
            ),
            Rule(
                "relu_beta_smooth",
                "Times sigmoid(beta x): the gradient of a softplus in place of the ReLU's.",
                "Dombrowski et al. 2019, arXiv:1906.07983",
                "relu",
                (SMOOTHNESS,),
                conserves=False,
            ),
            Rule(
                "gradient",
                "The plain gradient: no rule.",
                "Simonyan et al. 2014, arXiv:1312.6034",
                "any",
                conserves=False,
            ),
        )
    }
)

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "type:convolution": "every convolution",
        "type:dense": "every linear layer that is no convolution",
        "type:linear": "both of these",
        "type:activation": "every activation",
        "type:relu": "every ReLU",
        "type:batch_norm": "every batch norm that is not merged",
        "type:avg_pool": "every average pool",
        "type:sum": "every sum of branches",
        "first:convolution": "the first convolution",
        "first:linear": "the first convolution or linear layer",
    }
)


@dataclass(frozen=True)
class Assignment:
    """A rule and the layers that it is assigned to.

    Attributes
    ----------
    layers : str
        A key of `TYPES`, or a layer's name with the wildcards `*` and `?`.
    rule : str
        A key of `RULES`.
    values : tuple of (str, float, bool or str)
        Values of the rule's parameters; of all of them in a `Method`.
    """

    layers: str
    rule: str
    values: tuple[tuple[str, Value], ...] = ()

    def resolve(self, given: Mapping[str, Value]) -> Assignment:
        """Set every value: of the assignment, else as given, else the default."""
        values = with_defaults(RULES[self.rule].parameters, {**given, **dict(self.values)})
        return Assignment(self.layers, self.rule, values)

    def describe(self) -> dict[str, Any]:
        """As an entry of a list of rules in a request."""
        return {"layers": self.layers, "rule": self.rule, **dict(self.values)}


def parse_rules(entries: object) -> tuple[Assignment, ...]:
    """Parse a custom composite: a list of objects with `layers`, `rule` and parameters.

    A layer gets the rule of the first entry that matches it, or the plain gradient if none does.

    Raises
    ------
    OptionError
        Names the invalid entry, and what is allowed.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        example = '[{"layers": "type:linear", "rule": "flat"}]'
        raise _error(f"must be a name, or a list of rules such as {example}")
    if len(entries) > MAX_ASSIGNMENTS:
        raise _error(f"must have at most {MAX_ASSIGNMENTS} entries, not {len(entries)}")
    return tuple(_parse_entry(number, entry) for number, entry in enumerate(entries, 1))


def _parse_entry(number: int, entry: object) -> Assignment:
    if not isinstance(entry, Mapping):
        raise _error(f"entry {number} must be an object with `layers` and `rule`")
    layers, name = entry.get("layers"), entry.get("rule")
    if not isinstance(layers, str) or not 0 < len(layers) <= 200 or not layers.isprintable():
        raise _error(f"entry {number}: `layers` must be a layer's name, a pattern, or a type")
    if ":" in layers and layers not in TYPES:
        raise _error(
            f"entry {number}: there is no {shorten(layers)}; there are: {join_names(TYPES)}"
        )
    rule = RULES.get(name) if isinstance(name, str) else None
    if rule is None:
        raise _error(f"entry {number}: `rule` must be one of: {join_names(RULES)}")
    values = {str(key): value for key, value in entry.items() if key not in ("layers", "rule")}
    for parameter in rule.parameters:  # null is left out
        if values.get(parameter.name) is None:
            values.pop(parameter.name, None)
    problems = list(_problems(rule, values))
    if problems:
        raise _error(f"entry {number}: {'; '.join(problems)}")
    numbers = {p.name for p in rule.parameters if p.kind == "number"}
    exact = {key: float(value) if key in numbers else value for key, value in values.items()}
    return Assignment(layers, rule.name, with_defaults(rule.parameters, exact))


def _problems(rule: Rule, values: Mapping[str, Any]) -> Iterator[str]:
    try:
        check_names(f"the rule {rule.name}", rule.parameters, values)
    except OptionError as error:
        yield error.detail
        return
    for parameter in rule.parameters:
        problem = parameter.validate(values[parameter.name]) if parameter.name in values else None
        if problem:
            yield f"{parameter.name}: {problem}"
            return
    alpha, beta = values.get("alpha", ALPHA.default), values.get("beta", BETA.default)
    if rule.name == "alpha_beta" and not math.isclose(alpha - beta, 1):
        yield "alpha - beta must be 1"


def _error(detail: str) -> OptionError:
    return OptionError.of("composite", detail)
