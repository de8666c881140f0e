"""The helper that selects test cases leaves no pair of values out."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tests.helpers.covering import covering

CASES = [
    case
    for case in product("abc", (1, 2, 3), (True, False), "xyz", "pq")
    if not (case[0] == "a" and case[1] == 3)
]


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_every_tuple_of_values_is_covered_by_a_selection(strength: int) -> None:
    def tuples(cases: list[tuple[object, ...]]) -> set[object]:
        return {found for case in cases for found in combinations(enumerate(case), strength)}

    selected = covering(CASES, strength)
    assert set(selected) < set(CASES)
    assert tuples(list(selected)) == tuples(list(CASES))


def test_a_selection_is_small_and_the_same_each_time() -> None:
    selected = covering(product(range(3), repeat=4))  # 9 is the least that is possible
    assert len(selected) <= 12
    assert selected == covering(product(range(3), repeat=4))


def test_cases_of_one_value_each_are_all_selected() -> None:
    assert covering([(1,), (2,), (1,)], strength=1) == [(1,), (2,)]
