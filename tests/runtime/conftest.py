"""An engine that does what a test says, and queues with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from service.runtime.queue import DeviceQueue
from tests.runtime.running import LIMIT_S, MakeQueue, Runner


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def make_queue(runner: Runner) -> Iterator[MakeQueue]:
    """Makes queues that are ready; they are closed at the end."""
    made: list[DeviceQueue] = []

    def make(size: int = 8) -> DeviceQueue:
        loaded = threading.Event()
        queue = DeviceQueue([lambda: {"a model": runner}], size, on_loaded=loaded.set)
        queue.start()
        assert loaded.wait(LIMIT_S)
        made.append(queue)
        return queue

    yield make
    runner.gate.set()
    for queue in made:
        queue.close()
