"""A program computes bitwise what it was made of, and is made only where it pays and is right."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from service.lrp.explainer import Explainer
from service.methods import ATTRIBUTORS, COMPOSITES, DEFAULT_ATTRIBUTOR, make_method
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.device import memory_bytes
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation, PredictJob
from service.runtime.programs import (
    MAX_PROGRAMS,
    USES_IN_IDLE,
    USES_UNDER_LOAD,
    Programs,
    make_program,
)
from service.settings import DEFAULT_MODEL

Columns = tuple[Tensor, ...]
# alpha-beta computes again what rounding has lost, if it has
DEPEND_ON_VALUES = ("epsilon_alpha2_beta1", "epsilon_alpha2_beta1_flat")


class Owner:
    """Whose function it is."""


class Doubling:
    """A function that knows whether it ran itself."""

    def __init__(self) -> None:
        self.n_runs = 0

    def __call__(self, x: Tensor) -> Columns:
        """Double."""
        self.n_runs += 1
        return (2 * x,)


def use(programs: Programs, owner: object, function: Callable[..., Columns], n: int) -> None:
    for _ in range(n):
        programs.run(owner, function, torch.ones(3))


# When there is one


def test_what_is_used_often_becomes_a_program() -> None:
    programs, owner, function = Programs(), Owner(), Doubling()
    use(programs, owner, function, USES_IN_IDLE)
    assert programs.make_next(USES_IN_IDLE)
    function.n_runs = 0
    (doubled,) = programs.run(owner, function, torch.tensor([1.0, 2.0, 3.0]))
    assert doubled.tolist() == [2, 4, 6]
    assert function.n_runs == 0
    assert not programs.make_next(1)


@pytest.mark.parametrize("least", [USES_IN_IDLE, USES_UNDER_LOAD])
def test_what_is_used_less_does_not(least: int) -> None:
    programs, owner, function = Programs(), Owner(), Doubling()
    use(programs, owner, function, least - 1)
    assert not programs.make_next(least)
    use(programs, owner, function, 1)
    assert programs.make_next(least)


def test_other_shapes_and_other_owners_have_programs_of_their_own() -> None:
    programs, owners, function = Programs(), (Owner(), Owner()), Doubling()
    use(programs, owners[0], function, 1)
    programs.make_next(1)
    function.n_runs = 0
    programs.run(owners[0], function, torch.ones(4))
    programs.run(owners[1], function, torch.ones(3))
    assert function.n_runs == 2


def test_none_is_made_where_they_are_off() -> None:
    programs, owner, function = Programs(is_on=False), Owner(), Doubling()
    use(programs, owner, function, USES_UNDER_LOAD)
    assert not programs.make_next(1)


# What they hold


def test_a_program_lives_no_longer_than_its_owner() -> None:
    programs, owner = Programs(), Owner()
    use(programs, owner, Doubling(), 1)
    programs.make_next(1)
    known = weakref.ref(owner)
    del owner
    gc.collect()
    assert known() is None


def test_there_are_never_more_than_so_many_and_there_is_room_again() -> None:
    programs, owners, function = Programs(), [Owner(), Owner()], Doubling()
    for n in range(1, MAX_PROGRAMS + 10):
        programs.run(owners[n % 2], function, torch.ones(n))
        assert programs.make_next(1) is (n <= MAX_PROGRAMS)
    owners.pop()
    gc.collect()
    assert len(programs) == MAX_PROGRAMS // 2
    assert programs.make_next(1)


def test_its_memory_is_given_back() -> None:
    def resident_mb() -> float:
        return memory_bytes(torch.device("cpu")) / 1e6

    def make(n: int) -> None:
        for _ in range(n):
            assert make_program(many_steps, [torch.ones(3)]) is not many_steps
        gc.collect()

    def many_steps(x: Tensor) -> Columns:
        for _ in range(300):
            x = x + 1
        return (x,)

    make(10)
    before = resident_mb()
    make(30)
    assert resident_mb() < before + 20  # torch.jit.trace keeps some 100 MB of them


def test_what_is_wanted_keeps_nothing_alive() -> None:
    programs, owner = Programs(), Owner()
    use(programs, owner, Doubling(), USES_UNDER_LOAD)
    known = weakref.ref(owner)
    del owner
    gc.collect()
    assert known() is None
    assert programs.make_next(1)  # forgets it
    assert not programs.make_next(1)


def test_what_is_asked_for_most_is_not_forgotten() -> None:
    programs, owner, function = Programs(), Owner(), Doubling()
    for n in range(USES_UNDER_LOAD * 4):
        programs.run(owner, function, torch.ones(3))
        programs.run(owner, function, torch.ones(4 + n))
    assert programs.make_next(USES_UNDER_LOAD)


# What cannot be recorded runs as it is


def test_what_depends_on_values_stays_as_it_is() -> None:
    def branching(x: Tensor) -> Columns:
        return (x if x.sum() > 0 else -x,)

    assert make_program(branching, [torch.ones(3)]) is branching


def test_a_program_that_computes_something_else_is_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = [1.0]

    def changing(x: Tensor) -> Columns:
        state[0] += 1
        return (x * state[0],)

    with caplog.at_level(logging.WARNING):
        assert make_program(changing, [torch.ones(3)]) is changing
    assert "not used" in caplog.text


# Of the engine


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    """One that makes programs, and one that never does."""
    quick, plain = (
        Engine(read_bundle(find_bundle(DEFAULT_MODEL), ()), torch.device("cpu")) for _ in range(2)
    )
    quick.warm_up(max_batch_size=4)
    return quick, plain


def jobs_of(composite: str, n: int, attributor: str = DEFAULT_ATTRIBUTOR) -> list[ExplainJob]:
    rng = np.random.default_rng(n)
    method = make_method(composite, attributor, {})
    return [
        ExplainJob(pixels, DEFAULT_MODEL, method, (target, None))
        for target, pixels in enumerate(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8))
    ]


class Ways:
    """An explainer that knows the ways, and goes none of them."""

    def __init__(self, explainer: Explainer) -> None:
        self.way = explainer.way


def made_all(engine: Engine) -> int:
    n = 0
    while engine.improve(is_idle=True):
        n += 1
    return n


def test_after_the_warm_up_all_sizes_of_the_default_become_programs(
    engines: tuple[Engine, Engine],
) -> None:
    n_tried = len(engines[0]._programs._wanted)  # how many depends on their times
    assert made_all(engines[0]) == n_tried > 0


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("n", [1, 4])
def test_every_composite_gives_bitwise_the_same_as_a_program(
    engines: tuple[Engine, Engine], composite: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, plain = engines
    jobs = jobs_of(composite, n)
    for _ in range(USES_IN_IDLE):
        quick.run(jobs)
    quick._programs._max_programs = 1000
    made_all(quick)
    if composite not in DEPEND_ON_VALUES:
        monkeypatch.setattr(quick, "explainer", Ways(quick.explainer))
    others = jobs_of(composite, n + 8)[8:]
    for found, expected in zip(quick.run(others), plain.run(others), strict=True):
        assert isinstance(found, Explanation)
        assert isinstance(expected, Explanation)
        np.testing.assert_array_equal(found.logits, expected.logits)
        for one, other in zip(found.attributions, expected.attributions, strict=True):
            assert one.target == other.target
            np.testing.assert_array_equal(one.relevance, other.relevance)
            assert (one.start, one.by_layer) == (other.start, other.by_layer)


def test_predictions_are_programs_too(engines: tuple[Engine, Engine]) -> None:
    quick, plain = engines
    jobs = [PredictJob(job.pixels, job.model) for job in jobs_of("none", 4)]
    for _ in range(USES_IN_IDLE):
        quick.run(jobs)
    quick._programs._max_programs = 1000
    assert made_all(quick) == 1
    for found, expected in zip(quick.run(jobs), plain.run(jobs), strict=True):
        np.testing.assert_array_equal(found.logits, expected.logits)  # type: ignore[union-attr]


@pytest.mark.parametrize("attributor", [name for name in ATTRIBUTORS if name != DEFAULT_ATTRIBUTOR])
def test_what_takes_several_passes_is_no_program(
    engines: tuple[Engine, Engine], attributor: str
) -> None:
    quick, _ = engines
    composite = "epsilon_plus_flat" if ATTRIBUTORS[attributor].is_modified else "none"
    (job, *_) = jobs_of(composite, 1, attributor)
    for _ in range(USES_IN_IDLE):
        quick.run([job])
    assert made_all(quick) == 0
