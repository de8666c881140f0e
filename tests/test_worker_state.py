"""The notice board: each worker writes its own entry, and reads those of the others."""

from __future__ import annotations

from itertools import product
from multiprocessing import get_context

import pytest

from service.worker_state import Board, Seat, State

GOOD = (State.READY, State.ABSENT)


def write_in_a_process(seat: Seat) -> None:
    seat.write(State.LEAVING)


def test_all_workers_begin_with_starting() -> None:
    assert Board(3).read() == [State.STARTING] * 3


@pytest.mark.parametrize("state", State)
def test_what_is_written_is_read(state: State) -> None:
    board = Board(2)
    Seat(board, 1).write(state)
    assert board.read() == [State.STARTING, state]


@pytest.mark.parametrize(("first", "second"), list(product(State, State)))
def test_the_others_are_ready_where_each_that_takes_connections_is(
    first: State, second: State
) -> None:
    board = Board(3)
    board.write(0, first)
    board.write(2, second)
    found = Seat(board, 1).read_others()
    assert (found is State.READY) == (first in GOOD and second in GOOD)
    assert found in (first, second, State.READY)


def test_alone_there_are_no_others() -> None:
    assert Seat().read_others() is State.READY


def test_a_process_that_is_spawned_writes_to_the_same_board() -> None:
    board = Board(2)
    process = get_context("spawn").Process(target=write_in_a_process, args=(Seat(board, 1),))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert board.read() == [State.STARTING, State.LEAVING]
