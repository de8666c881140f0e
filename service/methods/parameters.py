"""Parameters of composites, rules and attributors: names, defaults, bounds and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from service.errors import OptionError, OptionProblem, join_names

Value = float | bool | str
Kind = Literal["number", "integer", "boolean", "enum"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a composite, a rule or an attributor.

    Attributes
    ----------
    name, text : str
        Its name in requests, and what it does.
    kind : {"number", "integer", "boolean", "enum"}
        The type of its values.
    default : float, bool, str or None
        None if it is derived from the size of the network's input, as the text says.
    minimum, maximum : float or None
        Inclusive bounds of a number.
    choices : tuple of str
        The values of an enum.
    """

    name: str
    kind: Kind
    default: Value | None
    text: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def validate(self, value: object) -> str | None:
        """Return what is wrong with a value, or None if it is valid."""
        if self.kind == "boolean":
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind == "enum":
            is_known = isinstance(value, str) and value in self.choices
            return None if is_known else f"must be one of: {join_names(self.choices)}"
        kinds = int if self.kind == "integer" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return "must be a whole number" if self.kind == "integer" else "must be a number"
        return None if self._is_within(value) else f"must be {self.bounds}"

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        if self.kind == "integer":  # `g` would round the largest
            return f"from {self.minimum} to {self.maximum}"
        return f"from {self.minimum:g} to {self.maximum:g}"

    def _is_within(self, value: float) -> bool:
        is_high = self.minimum is None or value >= self.minimum  # false for nan
        return is_high and (self.maximum is None or value <= self.maximum)


def check_names(owner: str, parameters: Iterable[Parameter], given: Iterable[str]) -> None:
    """Refuse parameters that `owner` does not have.

    Raises
    ------
    OptionError
        Lists the parameters that it has.
    """
    names = [parameter.name for parameter in parameters]
    allowed = join_names(names)
    problems = [
        OptionProblem(name, f"{owner} has no such parameter; it has: {allowed}")
        for name in given
        if name not in names
    ]
    if problems:
        raise OptionError(problems)


def with_defaults(
    parameters: Iterable[Parameter], given: Mapping[str, Value]
) -> tuple[tuple[str, Value], ...]:
    """Each parameter's given value or its default; parameters that have neither are left out."""
    values = ((p.name, given.get(p.name, p.default)) for p in parameters)
    return tuple((name, value) for name, value in values if value is not None)


EPSILON = Parameter(
    "epsilon",
    "number",
    1e-6,
    "Stabilizer of the epsilon rule in linear layers: larger values suppress weak evidence",
    minimum=1e-9,
    maximum=1e3,
)
STABILIZER = Parameter(
    "stabilizer",
    "number",
    1e-6,
    "Stabilizer of all other rules: keeps denominators away from 0",
    minimum=1e-9,
    maximum=1e3,
)
GAMMA = Parameter(
    "gamma",
    "number",
    0.25,
    "How much positive weights are favoured in convolutions: 0 favours none, and the larger it "
    "is, the fewer blue pixels there are",
    minimum=0.0,
    maximum=100.0,
)
SMOOTHNESS = Parameter(
    "beta",
    "number",
    10.0,
    "How sharp the bend of the smoothed ReLU is; large values come close to the plain gradient",
    minimum=1e-3,
    maximum=1e3,
)
ALPHA = Parameter(
    "alpha", "number", 2.0, "Weight of positive contributions", minimum=1.0, maximum=100.0
)
BETA = Parameter(
    "beta", "number", 1.0, "Weight of negative contributions: alpha - 1", minimum=0.0, maximum=99.0
)
ZERO_BIAS = Parameter(
    "zero_bias",
    "boolean",
    False,
    "Leave biases out of the rules, so that they absorb no relevance",
)
N_SAMPLES = Parameter(
    "n_samples",
    "integer",
    20,
    "Number of samples, the last one without noise",
    minimum=1,
    maximum=128,
)
NOISE_LEVEL = Parameter(
    "noise_level",
    "number",
    0.1,
    "Standard deviation of the noise, as a share of the range of the image's values",
    minimum=0.0,
    maximum=1.0,
)
SEED = Parameter("seed", "integer", 0, "Seed of the noise", minimum=0, maximum=2**31 - 1)
N_STEPS = Parameter(
    "n_steps",
    "integer",
    20,
    "Number of steps from the baseline to the image: more of them are more exact",
    minimum=1,
    maximum=128,
)
BASELINE = Parameter(
    "baseline",
    "enum",
    "mean",
    "The image to start from: the mean colour of the training data, black, or white",
    choices=("mean", "black", "white"),
)
WINDOW = Parameter(
    "window",
    "integer",
    None,
    "Side of the hidden square in pixels of the network's input; by default a quarter of its "
    "shorter side",
    minimum=1,
    maximum=4096,
)
STRIDE = Parameter(
    "stride",
    "integer",
    None,
    "Pixels between neighbouring squares, at most `window`; by default half of it; at "
    "most 1,024 squares",
    minimum=1,
    maximum=4096,
)
