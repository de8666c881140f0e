"""The registries as data: complete, within bounds, and not to be changed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
    PLAIN,
    RULES,
    TYPES,
    Attributor,
    Composite,
    Kind,
    Parameter,
    Rule,
    all_parameters,
    parse_rules,
)

REGISTRIES: dict[str, Mapping[str, Composite | Rule | Attributor]] = {
    "composites": COMPOSITES,
    "rules": RULES,
    "attributors": ATTRIBUTORS,
}
ENTRIES = [(name, key) for name, registry in REGISTRIES.items() for key in registry]
PARAMETERS = list(
    dict.fromkeys(
        parameter
        for registry in REGISTRIES.values()
        for entry in registry.values()
        for parameter in entry.parameters
    )
)


@pytest.mark.parametrize(("registry", "key"), ENTRIES)
def test_an_entry_has_its_name_a_sentence_and_a_source(registry: str, key: str) -> None:
    entry = REGISTRIES[registry][key]
    assert entry.name == key
    assert entry.text.endswith(".")
    assert len(entry.source) > 10
    names = [parameter.name for parameter in entry.parameters]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_registry_cannot_be_changed(registry: str) -> None:
    with pytest.raises(TypeError):
        REGISTRIES[registry]["mine"] = COMPOSITES[PLAIN]  # type: ignore[index]


def test_the_defaults_are_there() -> None:
    assert DEFAULT_COMPOSITE in COMPOSITES
    assert PLAIN in COMPOSITES
    assert DEFAULT_ATTRIBUTOR in ATTRIBUTORS


def test_a_name_stands_for_one_parameter_on_the_wire() -> None:
    found = {parameter for one in COMPOSITES.values() for parameter in one.parameters}
    found |= {parameter for one in ATTRIBUTORS.values() for parameter in one.parameters}
    assert set(all_parameters().values()) == found
    assert len({parameter.name for parameter in found}) == len(found)


# --- parameters


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_default_is_allowed(parameter: Parameter) -> None:
    assert parameter.default is None or parameter.validate(parameter.default) is None
    assert bool(parameter.choices) is (parameter.kind == "enum")
    has_bounds = parameter.minimum is not None and parameter.maximum is not None
    assert has_bounds is (parameter.kind in ("number", "integer"))
    assert len(parameter.text) > 5


@pytest.mark.parametrize(
    "parameter",
    [parameter for parameter in PARAMETERS if parameter.minimum is not None],
    ids=lambda parameter: parameter.name,
)
def test_bounds_are_included_and_nothing_beyond_them_is(parameter: Parameter) -> None:
    assert parameter.minimum is not None
    assert parameter.maximum is not None
    kind = int if parameter.kind == "integer" else float
    low, high = kind(parameter.minimum), kind(parameter.maximum)
    step = 1 if kind is int else 1e-12
    assert parameter.validate(low) is parameter.validate(high) is None
    for value in (low - step, high + 1, -(10**400), 10**400):
        assert parameter.validate(value) == f"must be {parameter.bounds}"
    assert f"{low:g}" in parameter.bounds


OF_NO_KIND: tuple[object, ...] = (None, "", "1", [], {}, float("nan"), float("inf"))
OF_OTHER_KINDS: dict[Kind, tuple[object, ...]] = {
    "number": (True, "mean"),
    "integer": (True, 0.5, "mean"),
    "boolean": (0.5, 1, "mean"),
    "enum": (True, 0.5, 1),
}


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_value_of_another_kind_is_invalid(parameter: Parameter) -> None:
    for value in (*OF_NO_KIND, *OF_OTHER_KINDS[parameter.kind]):
        problem = parameter.validate(value)
        assert problem is not None, value
        assert problem.startswith("must be ")


def test_bounds_of_an_integer_are_exact() -> None:
    assert all_parameters()["seed"].bounds == "from 0 to 2147483647"


# --- composites


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_is_made_of_rules_that_there_are(name: str) -> None:
    composite = COMPOSITES[name]
    for assignment in composite.rules:
        assert assignment.layers in TYPES
        assert assignment.rule in RULES
    parsed = parse_rules([rule.describe() for rule in composite.rules]) if composite.rules else ()
    assert [(one.layers, one.rule) for one in parsed] == [
        (one.layers, one.rule) for one in composite.rules
    ]


@pytest.mark.parametrize("name", COMPOSITES)
def test_each_parameter_of_a_composite_reaches_a_rule_that_does_not_set_it(name: str) -> None:
    composite = COMPOSITES[name]
    reached = {
        parameter
        for assignment in composite.rules
        for parameter in RULES[assignment.rule].parameters
        if parameter.name not in dict(assignment.values)
    }
    assert set(composite.parameters) == reached


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_conserves_if_all_its_rules_do(name: str) -> None:
    composite = COMPOSITES[name]
    rules = [RULES[assignment.rule] for assignment in composite.rules]
    assert composite.conserves is (bool(rules) and all(rule.conserves for rule in rules))
