"""Methods: defaults, keys, and combinations that are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import OptionError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    CUSTOM,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
    INPUT,
    PLAIN,
    Method,
    all_parameters,
    make_method,
    parse_rules,
)

PAIRS = [
    *((composite, DEFAULT_ATTRIBUTOR) for composite in COMPOSITES),
    (DEFAULT_COMPOSITE, "smooth_grad"),
    (PLAIN, "integrated_gradients"),
    (PLAIN, "occlusion"),
]
PLAIN_ATTRIBUTORS = [name for name, attributor in ATTRIBUTORS.items() if not attributor.is_modified]
MINE = parse_rules(
    [{"layers": "type:convolution", "rule": "gamma"}, {"layers": "*", "rule": "epsilon"}]
)


# --- defaults


@pytest.mark.parametrize(("composite", "attributor"), PAIRS)
def test_parameters_that_are_not_given_have_their_defaults(composite: str, attributor: str) -> None:
    method = make_method(composite, attributor, {}, input_size=(32, 48))

    own = (*COMPOSITES[composite].parameters, *ATTRIBUTORS[attributor].parameters)
    values = dict(method.parameters)
    assert list(values) == [parameter.name for parameter in own]
    for parameter in own:
        if parameter.default is not None:
            assert values[parameter.name] == parameter.default
    assert method.describe() == {"attributor": attributor, "composite": composite, **values}
    assert method.layer == INPUT


@pytest.mark.parametrize(("composite", "attributor"), PAIRS)
def test_all_values_of_its_rules_are_set(composite: str, attributor: str) -> None:
    method = make_method(composite, attributor, {})

    described = [rule.describe() for rule in method.rules]
    assert parse_rules(described) == method.rules if described else not method.rules


def test_the_default_method_is_that_of_the_defaults() -> None:
    assert Method() == make_method(DEFAULT_COMPOSITE, DEFAULT_ATTRIBUTOR, {})
    assert Method() == make_method(None, DEFAULT_ATTRIBUTOR, {})


@pytest.mark.parametrize("attributor", ATTRIBUTORS)
def test_the_default_composite_depends_on_the_attributor(attributor: str) -> None:
    expected = DEFAULT_COMPOSITE if ATTRIBUTORS[attributor].is_modified else PLAIN

    assert make_method(None, attributor, {}).composite == expected


# --- given parameters


def test_given_parameters_apply_to_the_rules() -> None:
    method = make_method("epsilon_plus", "gradient", {"epsilon": 0.5, "zero_bias": True})

    assert (method["epsilon"], method["stabilizer"], method["zero_bias"]) == (0.5, 1e-6, True)
    of_rules = {rule.rule: dict(rule.values) for rule in method.rules}
    assert of_rules["epsilon"] == {"epsilon": 0.5, "zero_bias": True}
    assert of_rules["zplus"] == {"stabilizer": 1e-6, "zero_bias": True}


def test_equal_methods_have_equal_hashes_in_any_order_of_parameters() -> None:
    one = make_method("epsilon_plus", "gradient", {"epsilon": 0.5, "zero_bias": True})
    other = make_method("epsilon_plus", "gradient", {"zero_bias": True, "epsilon": 0.5})

    assert {one: "found"}[other] == "found"
    assert one != make_method("epsilon_plus_flat", "gradient", {"epsilon": 0.5, "zero_bias": True})
    assert one != make_method("epsilon_plus", "gradient", {"epsilon": 0.4, "zero_bias": True})
    assert Method() != make_method(None, "gradient", {}, layer="features.0")


@pytest.mark.parametrize(("composite", "attributor"), PAIRS)
def test_unknown_parameters_are_refused_with_a_list_of_the_known_ones(
    composite: str, attributor: str
) -> None:
    own = (*COMPOSITES[composite].parameters, *ATTRIBUTORS[attributor].parameters)
    others = [name for name, one in all_parameters().items() if one not in own]

    with pytest.raises(OptionError) as refused:
        make_method(composite, attributor, dict.fromkeys(others, 1.0))

    assert [problem.option for problem in refused.value.problems] == others
    has = ", ".join(parameter.name for parameter in own) or "none"
    for problem in refused.value.problems:
        assert f"composite {composite}" in problem.detail
        assert problem.detail.endswith(f"has no such parameter; it has: {has}")
        assert (attributor in problem.detail) is bool(ATTRIBUTORS[attributor].parameters)


@pytest.mark.parametrize("given", [{}, {"epsilon": 0.5}])
def test_an_unknown_composite_is_refused_with_a_list_of_the_known_ones(
    given: dict[str, Any],
) -> None:
    with pytest.raises(OptionError) as refused:
        make_method("lrp", "gradient", given, own={"mine": MINE})

    (problem,) = refused.value.problems
    assert problem.option == "composite"
    assert problem.detail == f"must be one of: {', '.join(COMPOSITES)}, mine; or a list of rules"


# --- custom composites


def test_rules_are_a_composite_without_parameters() -> None:
    method = make_method(MINE, "smooth_grad", {"n_samples": 3})

    assert method.composite == CUSTOM
    assert method.rules == MINE
    assert method.describe()["rules"] == [rule.describe() for rule in MINE]
    with pytest.raises(OptionError, match=r"the composite custom .*; it has: n_samples"):
        make_method(MINE, "smooth_grad", {"gamma": 1.0})


def test_a_composite_of_a_bundle_is_named_and_described() -> None:
    method = make_method("mine", "gradient", {}, own={"mine": MINE})

    assert (method.composite, method.rules) == ("mine", MINE)
    assert method.describe()["rules"] == [rule.describe() for rule in MINE]
    assert method != make_method(MINE, "gradient", {})
    with pytest.raises(OptionError, match="the composite mine has no such parameter"):
        make_method("mine", "gradient", {"gamma": 1.0}, own={"mine": MINE})


# --- conservation


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_composite_says_whether_it_conserves(composite: str) -> None:
    for attributor in set(ATTRIBUTORS) - set(PLAIN_ATTRIBUTORS):
        method = make_method(composite, attributor, {})
        assert method.conserves is COMPOSITES[composite].conserves


def test_integrated_gradients_conserve_and_occlusion_does_not() -> None:
    found = {name: make_method(None, name, {}).conserves for name in PLAIN_ATTRIBUTORS}

    assert found == {"integrated_gradients": True, "occlusion": False}


def test_custom_rules_conserve_if_each_does() -> None:
    gradient = parse_rules([{"layers": "type:relu", "rule": "gradient"}])

    assert make_method(MINE, "gradient", {}).conserves
    assert not make_method((*MINE, *gradient), "gradient", {}).conserves


# --- attributors about the plain network


@pytest.mark.parametrize("attributor", PLAIN_ATTRIBUTORS)
@pytest.mark.parametrize("composite", [DEFAULT_COMPOSITE, "lrp"])
def test_plain_attributors_take_no_composite(attributor: str, composite: str) -> None:
    with pytest.raises(OptionError, match=f"composite: must be {PLAIN} with {attributor}"):
        make_method(composite, attributor, {})
    with pytest.raises(OptionError, match=f"composite: must be {PLAIN} with {attributor}"):
        make_method(MINE, attributor, {})


@pytest.mark.parametrize("attributor", PLAIN_ATTRIBUTORS)
def test_plain_attributors_take_no_layer(attributor: str) -> None:
    with pytest.raises(OptionError, match=f"layer: must be input with {attributor}"):
        make_method(None, attributor, {}, layer="features.0")


@pytest.mark.parametrize(
    ("given", "size", "window", "stride"),
    [
        ({}, (32, 32), 8, 4),
        ({}, (224, 224), 56, 28),
        ({}, (3, 3), 1, 1),
        ({"window": 5}, (32, 32), 5, 2),
        ({"stride": 8}, (32, 64), 8, 8),
        ({"window": 1}, (32, 32), 1, 1),
    ],
)
def test_a_window_follows_from_the_size(
    given: dict[str, int], size: tuple[int, int], window: int, stride: int
) -> None:
    method = make_method(None, "occlusion", given, input_size=size)

    assert (method["window"], method["stride"]) == (window, stride)


@given(st.tuples(st.integers(16, 2048), st.integers(16, 2048)))
def test_the_windows_are_never_too_many_by_default(size: tuple[int, int]) -> None:
    method = make_method(None, "occlusion", {}, input_size=size)

    window, stride = int(method["window"]), int(method["stride"])
    assert 1 <= stride <= window <= min(size)
    assert math.ceil(size[0] / stride) * math.ceil(size[1] / stride) <= 1024


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"window": 33}, "window: must be at most 32, the network's input"),
        ({"stride": 9}, "stride: must be at most 8, the window"),
        ({"window": 4, "stride": 1}, "stride: 1 makes 2048 windows; the limit is 1024: raise it"),
    ],
)
def test_a_window_that_cannot_be_is_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        make_method(None, "occlusion", given, input_size=(32, 64))

    assert refused.value.detail == said
