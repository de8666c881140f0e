"""Methods as data: complete, within bounds, and usable as keys."""

from __future__ import annotations

import pytest

from service.errors import OptionError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
    Attributor,
    Composite,
    Method,
    Parameter,
    make_method,
)

PARAMETERS = list(dict.fromkeys(p for c in COMPOSITES.values() for p in c.parameters))


def test_each_entry_has_its_name_a_sentence_and_a_source() -> None:
    entries: list[tuple[str, Composite | Attributor]] = [*COMPOSITES.items(), *ATTRIBUTORS.items()]
    for name, entry in entries:
        assert entry.name == name
        assert entry.text.endswith(".")
        assert entry.source


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_default_is_within_its_bounds(parameter: Parameter) -> None:
    if isinstance(parameter.default, bool):
        assert parameter.minimum is parameter.maximum is None
    else:
        assert parameter.minimum is not None
        assert parameter.maximum is not None
        assert 0 < parameter.minimum <= parameter.default <= parameter.maximum


@pytest.mark.parametrize("composite", COMPOSITES)
def test_what_is_not_given_has_its_default(composite: str) -> None:
    method = make_method(composite, DEFAULT_ATTRIBUTOR, {})
    wanted = {p.name: p.default for p in COMPOSITES[composite].parameters}
    assert dict(method.parameters) == wanted
    assert method.describe() == {"attributor": "gradient", "composite": composite, **wanted}
    assert method.conserves == COMPOSITES[composite].conserves


def test_the_default_method_is_that_of_the_defaults() -> None:
    assert Method() == make_method(DEFAULT_COMPOSITE, DEFAULT_ATTRIBUTOR, {})


def test_what_is_given_is_kept() -> None:
    method = make_method("epsilon_plus", "gradient", {"epsilon": 0.5, "zero_bias": True})
    assert (method["epsilon"], method["stabilizer"], method["zero_bias"]) == (0.5, 1e-6, True)


def test_equal_methods_are_one_key_in_whatever_order_they_were_given() -> None:
    one = make_method("epsilon_plus", "gradient", {"epsilon": 0.5, "zero_bias": True})
    other = make_method("epsilon_plus", "gradient", {"zero_bias": True, "epsilon": 0.5})
    assert {one: "found"}[other] == "found"
    assert one != make_method("epsilon_plus_flat", "gradient", {"epsilon": 0.5, "zero_bias": True})


def test_a_parameter_that_the_composite_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(OptionError) as refused:
        make_method("none", "gradient", {"epsilon": 0.5, "gamma": 1.0})
    assert [problem.option for problem in refused.value.problems] == ["epsilon", "gamma"]
    assert "none has no such parameter; it has: none" in refused.value.detail
    with pytest.raises(OptionError, match="it has: epsilon, stabilizer, zero_bias"):
        make_method("epsilon_plus", "gradient", {"gamma": 1.0})


def test_registries_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        COMPOSITES["mine"] = COMPOSITES["none"]  # type: ignore[index]
