"""Tables of the registries of methods: composites, attributors, parameters, rules, types."""

from __future__ import annotations

from collections.abc import Iterable

from service.methods import ATTRIBUTORS, COMPOSITES, RULES, TYPES, Parameter, all_parameters
from tools.reference.markdown import code, codes, table


def composites() -> str:
    """The composites, with their parameters and sources."""
    return table(
        ("composite", "what it shows", "parameters", "source"),
        [(code(c.name), c.text, _names(c.parameters), c.source) for c in COMPOSITES.values()],
    )


def attributors() -> str:
    """The attributors, with their parameters and sources."""
    return table(
        ("attributor", "what it does", "parameters", "source"),
        [(code(a.name), a.text, _names(a.parameters), a.source) for a in ATTRIBUTORS.values()],
    )


def parameters() -> str:
    """The parameters of composites and attributors."""
    return table(
        ("parameter", "default", "values", "meaning"),
        [
            (code(p.name), "see text" if p.default is None else code(p.default), _values(p), p.text)
            for p in all_parameters().values()
        ],
    )


def rules() -> str:
    """The rules, for composites of a user's own."""
    return table(
        ("rule", "relevance of a layer's input", "layers", "parameters", "source"),
        [(code(r.name), r.text, r.affects, _names(r.parameters), r.source) for r in RULES.values()],
    )


def types() -> str:
    """The types of layers that a rule can be assigned to."""
    return table(("`layers`", "matches"), [(code(name), text) for name, text in TYPES.items()])


def _names(parameters: Iterable[Parameter]) -> str:
    return codes(parameter.name for parameter in parameters)


def _values(parameter: Parameter) -> str:
    if parameter.choices:
        return codes(parameter.choices)
    if parameter.minimum is None:
        return codes((True, False))
    whole = "whole number " if parameter.kind == "integer" else ""
    return f"{whole}{parameter.bounds}"
