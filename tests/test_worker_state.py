"""Worker states: each worker writes its own state and reads those of the others."""

from __future__ import annotations

from itertools import product
from multiprocessing import get_context

import pytest

from service.worker_state import State, WorkerSlot, WorkerStates

WORST_FIRST = ["broken", "hung", "stalled", "failing", "starting", "draining", "grace", "ready"]


def write_in_a_process(slot: WorkerSlot) -> None:
    slot.write(State.GRACE)


def test_all_workers_begin_as_starting() -> None:
    assert WorkerStates(3).read() == [State.STARTING] * 3


@pytest.mark.parametrize("state", State)
def test_a_written_state_is_read(state: State) -> None:
    states = WorkerStates(2)
    WorkerSlot(states, 1).write(state)
    assert states.read() == [State.STARTING, state]


def test_the_worst_state_of_the_other_workers_counts_and_absent_ones_do_not() -> None:
    for first, second in product(State, State):
        states = WorkerStates(3)
        states.write(0, first)
        states.write(2, second)
        found = {state.value for state in (first, second)} | {"ready"}
        worst = next(value for value in WORST_FIRST if value in found)
        assert WorkerSlot(states, 1).worst_other_state().value == worst


def test_a_single_worker_has_no_others() -> None:
    assert WorkerSlot().worst_other_state() is State.READY


def test_a_spawned_process_writes_to_the_same_memory() -> None:
    states = WorkerStates(2)
    slot = WorkerSlot(states, 1)
    process = get_context("spawn").Process(target=write_in_a_process, args=(slot,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert states.read() == [State.STARTING, State.GRACE]
