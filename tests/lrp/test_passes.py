"""Computations that pause: run to their end, and prepared anew after each pause."""

from __future__ import annotations

import pytest

from service.lrp.passes import Passes, Pause, before_each, finish


def passes(events: list[str]) -> Passes[int]:
    for number in range(2):
        events.append(f"pass {number}")
        yield Pause.BETWEEN
    events.append("end")
    return 7


def test_each_pass_is_prepared_as_others_ran_meanwhile() -> None:
    events: list[str] = []
    assert finish(before_each(passes(events), lambda: events.append("prepare"))) == 7
    assert events == ["prepare", "pass 0", "prepare", "pass 1", "prepare", "end"]


def test_pauses_are_those_of_the_computation() -> None:
    events: list[str] = []
    prepared = before_each(passes(events), lambda: None)
    assert [next(prepared), next(prepared)] == [Pause.BETWEEN] * 2
    with pytest.raises(StopIteration) as ended:
        next(prepared)
    assert ended.value.value == 7
