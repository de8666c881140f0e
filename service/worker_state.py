"""The notice board of the worker processes: how each of them is, in memory that they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from multiprocessing import get_context


class State(Enum):
    """How a process is, as `/readyz` says it."""

    STARTING = "starting"
    READY = "ready"
    STALLED = "stalled"  # the device finishes nothing
    LEAVING = "leaving"  # serves on for a while, but is not ready for more
    DRAINING = "draining"
    BROKEN = "broken"
    ABSENT = "absent"  # the worker has died; the one in its place takes no connections yet


_STATES = tuple(State)


class Board:
    """One entry for each worker. A worker writes its own, the supervisor those of the dead.

    An entry is a byte, so no lock is needed. A board can be handed to a process that
    `multiprocessing` spawns.

    Parameters
    ----------
    n_workers : int
        How many entries there are; all begin with `STARTING`.
    """

    def __init__(self, n_workers: int) -> None:
        self._entries = get_context("spawn").RawArray("b", n_workers)

    def write(self, worker: int, state: State) -> None:
        """Say how a worker is."""
        self._entries[worker] = _STATES.index(state)

    def read(self) -> list[State]:
        """How each worker is."""
        return [_STATES[entry] for entry in self._entries]


@dataclass(frozen=True)
class Seat:
    """A worker's place on the board; by default that of the only one there is.

    Attributes
    ----------
    board : Board
        Of all workers.
    worker : int
        Which of them this is, from 0.
    is_replacement : bool
        Whether it takes the place of one that has died: then it takes connections only when its
        model is loaded, as others serve meanwhile.
    """

    board: Board = field(default_factory=lambda: Board(1))
    worker: int = 0
    is_replacement: bool = False

    def write(self, state: State) -> None:
        """Say how this worker is."""
        self.board.write(self.worker, state)

    def read_others(self) -> State:
        """How the others are: ready where each that takes connections is."""
        states = self.board.read()
        states.pop(self.worker)
        good = (State.READY, State.ABSENT)
        return next((state for state in states if state not in good), State.READY)
