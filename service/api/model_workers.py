"""Keeps the models of all worker processes the same; see `service.shared_models`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service.errors import Conflict, LoadIncomplete
from service.models.lookup import FoundBundle
from service.shared_models import Acknowledgement, ModelList, SharedModel
from service.worker_state import WorkerSlot

LIMIT_S = 120.0  # for an operation to begin, and for the other workers to follow it
_POLL_S = 0.02


class ModelWorkers:
    """The models of this worker and the others.

    Parameters
    ----------
    slot : WorkerSlot
        This worker.
    """

    def __init__(self, slot: WorkerSlot) -> None:
        self._slot, self._shared = slot, slot.models
        self._generation = 0  # of the list that this worker serves

    @property
    def is_current(self) -> bool:
        """Whether this worker serves what the list says."""
        return self._shared.generation == self._generation

    def read(self) -> ModelList:
        """Read the list."""
        return self._shared.read()

    def begin(self, served: Mapping[str, FoundBundle]) -> None:
        """Publish what this worker has loaded at its start, if nobody has, or something is new.

        Bundles may have been replaced since the others have loaded them, and the older ones are
        gone: so the others follow.
        """
        if not self._shared.try_begin():
            return  # it follows what the other worker publishes
        try:
            listed = self.read()
            models = {
                **listed.models,
                **_listed(served),
            }  # folders may be gone: the others serve on
            lost = dict.fromkeys(models.keys() - served.keys(), "its bundle is gone")
            is_known = models == listed.models
            generation = listed.generation if is_known else self._shared.publish(models)
            self.acknowledge(generation, lost)
        finally:
            self._shared.end()

    @asynccontextmanager
    async def operation(self) -> AsyncIterator[None]:
        """Be the only one that changes the models of the workers.

        Raises
        ------
        Conflict
            Another request does, for too long.
        """
        ends_at = time.monotonic() + LIMIT_S
        while not self._shared.try_begin():
            if time.monotonic() >= ends_at:
                raise Conflict("another request is loading a model; try again when it has ended")
            await asyncio.sleep(_POLL_S)
        try:
            yield
        finally:
            self._shared.end()

    def publish(self, served: Mapping[str, FoundBundle]) -> None:
        """Let the other workers follow what this one serves."""
        self.acknowledge(self._shared.publish(_listed(served)))

    def acknowledge(self, generation: int, failures: Mapping[str, str] | None = None) -> None:
        """Say that this worker serves a list, but for the models that it could not load."""
        self._generation = generation
        self._shared.acknowledge(self._slot.worker, Acknowledgement(generation, failures or {}))

    async def wait_for_others(self) -> int:
        """Wait until the other workers have followed this one; returns how many there are with it.

        Raises
        ------
        LoadIncomplete
            Some could not load a model, or take too long.
        """
        ends_at = time.monotonic() + LIMIT_S
        while late := [n for n in self._slot.others() if self._of(n).generation < self._generation]:
            if time.monotonic() >= ends_at:
                raise LoadIncomplete(
                    f"after {LIMIT_S:.0f} s the workers {late} serve their models as before; they "
                    "are tried again with the next request to load"
                )
            await asyncio.sleep(_POLL_S)
        others = self._slot.others()
        for worker in others:
            for name, reason in self._of(worker).failures.items():
                raise LoadIncomplete(f"worker {worker} serves {name} as before: {reason}")
        return len(others) + 1

    def _of(self, worker: int) -> Acknowledgement:
        return self._shared.acknowledged(worker)


def _listed(served: Mapping[str, FoundBundle]) -> dict[str, SharedModel]:
    return {
        name: SharedModel(str(bundle.folder), bundle.card.digest) for name, bundle in served.items()
    }
