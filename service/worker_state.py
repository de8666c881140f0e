"""States of the worker processes, in memory that they share.

| state    | `/readyz` | new jobs | when                                                         |
| -------- | --------- | -------- | ------------------------------------------------------------ |
| starting | 503       | refused  | the models are being loaded and warmed up                    |
| ready    | 200       | accepted | all models are loaded                                        |
| stalled  | 503       | accepted | the current slice has run longer than `stall_s`              |
| failing  | 503       | accepted | a device fails at its warm-up image, which is tried again    |
| grace    | 503       | accepted | a signal to stop came less than `grace_s` seconds ago        |
| draining | 503       | refused  | accepted jobs are finished, then the process exits           |
| broken   | 503       | refused  | a model cannot be loaded, or a device has failed for good    |
| hung     | 503       | none     | no heartbeat came for a third of `hang_s`                    |
| absent   | not asked | none     | the process has died; its replacement is not ready yet       |

Transitions: starting -> ready, draining or broken; ready <-> stalled; ready <-> failing; ready,
stalled or failing -> grace, draining or broken; grace -> draining or broken; draining -> the end.
While all devices fail, jobs are refused. A process that cannot load its models exits, and so does a
broken worker: the supervisor writes absent for it (starting, while not all workers have been ready
once). A single process whose device is broken stays broken: `/healthz` answers 503, and whoever
watches it restarts it. A hung worker that goes on writes its own state again; one that does not is
killed.

A worker's event loop beats ten times a second: a counter, in which the supervisor sees changes.
No clock is read, so neither a clock that is set nor a machine that was suspended looks like a hang.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from service.shared_memory import MemoryFile, SharedBytes
from service.shared_models import SharedModels


class State(Enum):
    """The state of a worker process, as `/readyz` reports it; the worst comes first."""

    BROKEN = "broken"
    HUNG = "hung"
    STALLED = "stalled"
    FAILING = "failing"
    STARTING = "starting"
    DRAINING = "draining"
    GRACE = "grace"
    READY = "ready"
    ABSENT = "absent"


_STATES = tuple(State)
_N_BEATS = 256  # of one byte


class WorkerStates:
    """The states and heartbeats of all worker processes.

    Each worker writes its own, the supervisor the state of a process that has died or hangs. Both
    are one byte, so no lock is needed. They reach the processes that `multiprocessing` spawns.

    Parameters
    ----------
    n_workers : int
        Each starts as `STARTING`.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._bytes = SharedBytes(MemoryFile.create(2 * n_workers))
        for worker in range(n_workers):
            self.write(worker, State.STARTING)

    def write(self, worker: int, state: State) -> None:
        """Set the state of a worker."""
        self._bytes[worker] = _STATES.index(state)

    def read(self) -> list[State]:
        """Return the state of each worker."""
        return [_STATES[self._bytes[worker]] for worker in range(self._n_workers)]

    def beat(self, worker: int) -> None:
        """Count a heartbeat of a worker."""
        index = self._n_workers + worker
        self._bytes[index] = (self._bytes[index] + 1) % _N_BEATS

    def beats(self, worker: int) -> int:
        """Return the heartbeats of a worker, modulo 256."""
        return self._bytes[self._n_workers + worker]


@dataclass(frozen=True)
class WorkerSlot:
    """A worker's entry among the states; by default that of a single process.

    Attributes
    ----------
    states : WorkerStates
        Of all workers.
    worker : int
        Index of the worker, from 0.
    is_replacement : bool
        Whether it replaces a worker that has died. A replacement accepts connections only when its
        models are loaded, as the other workers serve meanwhile.
    models : SharedModels
        What all workers serve.
    """

    states: WorkerStates = field(default_factory=lambda: WorkerStates(1))
    worker: int = 0
    is_replacement: bool = False
    models: SharedModels = field(default_factory=lambda: SharedModels(1))

    def write(self, state: State) -> None:
        """Set the state of this worker."""
        self.states.write(self.worker, state)

    def beat(self) -> None:
        """Count a heartbeat of this worker."""
        self.states.beat(self.worker)

    def beats(self) -> int:
        """Return the heartbeats of this worker, modulo 256."""
        return self.states.beats(self.worker)

    def others(self) -> list[int]:
        """Return the indices of the other workers that are alive, as far as is known."""
        ended = (State.ABSENT, State.BROKEN)
        states = self.states.read()
        return [n for n, state in enumerate(states) if n != self.worker and state not in ended]

    def worst_other_state(self) -> State:
        """Return the worst state of the other workers; an absent one counts as ready."""
        others = self.states.read()
        del others[self.worker]
        return min([*others, State.READY], key=_STATES.index)
