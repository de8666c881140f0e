"""Composites of a user's own: whatever is sent is parsed, or refused by one of our errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import OptionError
from service.methods import RULES, TYPES, Assignment, Parameter, parse_rules
from service.methods.rules import MAX_ASSIGNMENTS

FLAT = {"layers": "type:linear", "rule": "flat"}


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.kind == "boolean":
        return st.booleans()
    low, high = parameter.minimum, parameter.maximum
    return st.floats(low, high) | st.integers(1, 10).filter(lambda n: n <= (high or n))


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """An entry as it may be sent."""
    rule = RULES[draw(st.sampled_from(sorted(RULES)))]
    layers = draw(st.sampled_from(sorted(TYPES)) | st.sampled_from(["features.*", "conv?", "x"]))
    values = {p.name: draw(values_of(p)) for p in rule.parameters if draw(st.booleans())}
    if rule.name == "alpha_beta":
        beta = draw(st.integers(0, 99))
        values |= {"alpha": beta + 1, "beta": beta}
    return {"layers": layers, "rule": rule.name, **values}


names = st.sampled_from(["layers", "rule", "epsilon", "alpha", "zero_bias", *RULES, *TYPES])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | names
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(), inner),
    max_leaves=12,
)


# --- what is parsed


@given(st.lists(entries(), min_size=1, max_size=6))
def test_what_is_described_is_parsed_to_the_same(sent: list[dict[str, Any]]) -> None:
    rules = parse_rules(sent)

    assert [(one.layers, one.rule) for one in rules] == [(e["layers"], e["rule"]) for e in sent]
    told = [rule.describe() for rule in rules]
    assert parse_rules(told) == rules
    assert parse_rules(json.loads(json.dumps(told))) == rules
    for entry, rule in zip(sent, rules, strict=True):
        own = RULES[rule.rule].parameters
        assert list(dict(rule.values)) == [parameter.name for parameter in own]
        assert dict(rule.values) == {p.name: p.default for p in own} | {
            name: value for name, value in entry.items() if name not in ("layers", "rule")
        }


def assert_parsed_or_refused(sent: Any) -> None:
    try:
        rules = parse_rules(sent)
    except OptionError as error:
        options = [problem.option for problem in error.problems]
    else:
        options = ["composite"]
        assert parse_rules([rule.describe() for rule in rules]) == rules
    assert options == ["composite"]


@given(anything)
def test_anything_is_parsed_or_refused(sent: Any) -> None:
    assert_parsed_or_refused(sent)


@given(entries(), st.dictionaries(names, anything, max_size=2))
def test_an_entry_with_anything_in_it_is_parsed_or_refused(
    entry: dict[str, Any], other: dict[str, Any]
) -> None:
    assert_parsed_or_refused([entry | other])


def test_numbers_are_floats_so_that_equal_rules_are_one_key() -> None:
    one = parse_rules([{"layers": "x", "rule": "gamma", "gamma": 1}])
    other = parse_rules([{"layers": "x", "rule": "gamma", "gamma": 1.0}])

    assert {one: "found"}[other] == "found"
    assert type(dict(one[0].values)["gamma"]) is float


@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (2.3, 1.3), (100, 99)])
def test_alpha_less_beta_is_one_but_for_rounding(alpha: float, beta: float) -> None:
    entry = {"layers": "x", "rule": "alpha_beta", "alpha": alpha, "beta": beta}

    values = dict(parse_rules([entry])[0].values)

    assert (values["alpha"], values["beta"]) == (alpha, beta)


def test_a_value_of_an_entry_is_before_one_that_is_given() -> None:
    assignment = Assignment("x", "gamma", (("gamma", 0.5),))

    found = dict(assignment.resolve({"gamma": 2.0, "stabilizer": 1e-3}).values)

    assert found == {"gamma": 0.5, "stabilizer": 1e-3, "zero_bias": False}


# --- what is refused

REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": ([], "a list of rules such as"),
    "a name": ("epsilon_plus", "a list of rules such as"),
    "an object": (FLAT, "a list of rules such as"),
    "too many": ([FLAT] * (MAX_ASSIGNMENTS + 1), f"at most {MAX_ASSIGNMENTS} entries, not 257"),
    "no object": ([FLAT, "flat"], "entry 2 must be an object"),
    "no layers": ([{"rule": "flat"}], "entry 1: `layers` must be a layer's name"),
    "empty layers": ([FLAT | {"layers": ""}], "`layers` must be"),
    "long layers": ([FLAT | {"layers": "x" * 201}], "`layers` must be"),
    "no such type": ([FLAT | {"layers": "type:conv"}], "there is no type:conv; there are: type:"),
    "no rule": ([{"layers": "x"}], "`rule` must be one of: epsilon, gamma"),
    "no such rule": ([FLAT | {"rule": "lrp"}], "`rule` must be one of: epsilon, gamma"),
    "rule of another kind": ([FLAT | {"rule": ["flat"]}], "`rule` must be one of"),
    "no such parameter": ([FLAT | {"gamma": 1}], "the rule flat has no such parameter; it has: st"),
    "beyond": ([FLAT | {"stabilizer": 1e4}], "stabilizer: must be from 1e-09 to 1000"),
    "far beyond": ([FLAT | {"stabilizer": 10**400}], "stabilizer: must be from 1e-09 to 1000"),
    "not a number": ([FLAT | {"stabilizer": True}], "stabilizer: must be a number"),
    "not a switch": (
        [{"layers": "x", "rule": "epsilon", "zero_bias": 1}],
        "zero_bias: must be true or false",
    ),
    "alpha alone": ([{"layers": "x", "rule": "alpha_beta", "alpha": 3}], "alpha - beta must be 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said(case: str) -> None:
    sent, said = REFUSED[case]

    with pytest.raises(OptionError) as refused:
        parse_rules(sent)

    assert said in refused.value.detail
