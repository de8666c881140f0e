"""Methods for the tests: every composite in every corner, and each rule alone."""

from __future__ import annotations

from collections.abc import Iterator

from service.methods import COMPOSITES, RULES, Method, Parameter, Value, make_method, parse_rules


def corners(parameter: Parameter) -> tuple[Value, ...]:
    """The default and the bounds of a parameter."""
    if parameter.kind == "boolean":
        return (False, True)
    assert parameter.minimum is not None
    assert parameter.maximum is not None
    assert parameter.default is not None
    return (parameter.minimum, parameter.default, parameter.maximum)


def every_corner() -> Iterator[Method]:
    """Every composite with its defaults, and with each parameter in each corner."""
    for name, composite in COMPOSITES.items():
        yield make_method(name, "gradient", {})
        for parameter in composite.parameters:
            for value in corners(parameter):
                if value != parameter.default:
                    yield make_method(name, "gradient", {parameter.name: value})


def every_rule() -> Iterator[Method]:
    """Each rule for all layers that it can be given to, the others with the plain gradient."""
    patterns = {"affine": "type:linear", "averaging": "type:avg_pool", "relu": "type:relu"}
    patterns |= {"elementwise": "type:activation", "any": "type:linear"}
    for name, rule in RULES.items():
        layers = "first:linear" if name == "zbox" else patterns[rule.affects]
        has_bias = any(parameter.name == "zero_bias" for parameter in rule.parameters)
        choices: list[dict[str, bool]] = [{"zero_bias": False}, {"zero_bias": True}]
        for own in choices if has_bias else [{}]:
            entry = {"layers": layers, "rule": name, **own}
            yield make_method(parse_rules([entry]), "gradient", {})


CORNERS = tuple(every_corner())
RULES_ALONE = tuple(every_rule())
CONSERVING = tuple(
    make_method(name, "gradient", {"zero_bias": True})
    for name, composite in COMPOSITES.items()
    if composite.conserves
)


def name_of(method: Method) -> str:
    """As a test's id."""
    if not method.is_named:
        (rule,) = method.rules
        return ",".join([rule.rule, *(str(value) for _, value in rule.values)])
    values = ",".join(f"{name}={value}" for name, value in method.parameters)
    return f"{method.composite}({values})"
