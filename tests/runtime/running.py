"""A queue with an engine that waits and fails as a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import numpy as np

from service.lrp.passes import Passes, Pause
from service.methods import Start
from service.runtime.deadline import Deadline
from service.runtime.jobs import Job, LayerInfo, Prediction, PredictJob
from service.runtime.loaded_models import Engines
from service.runtime.queue import DeviceQueue
from service.runtime.queued_job import Done

LIMIT_S = 10.0


def job(number: int) -> PredictJob:
    return PredictJob(np.full((1, 1, 3), number, np.uint8), "a model")


def number_of(job: Job) -> int:
    return int(job.pixels[0, 0, 0])


class Runner:
    """An engine that records its jobs, and waits and fails where a test says."""

    device_name = "a device"

    def __init__(self) -> None:
        self.layers: tuple[LayerInfo, ...] = (LayerInfo("input", "Image", (3, 1, 1)),)
        self.default_starts: Mapping[str, Start] = {}
        self.size = 1
        self.sizes: list[int] = []  # of the batches that it did
        self.done: list[int] = []
        self.threads: set[int] = set()
        self.errors: dict[int, BaseException] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.n_pauses: dict[int, int] = {}  # of jobs that have any
        self.slices: list[int] = []  # the job of each slice that ended at a pause
        self.n_checks = self.n_failing_checks = self.n_closed = 0

    def best_batch_size(self, job: Job) -> int:
        return self.size

    def memory_bytes(self) -> int:
        return 1

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[list[Prediction | Exception]]:
        self.sizes.append(len(jobs))
        for _ in range(sum(self.n_pauses.get(number_of(job), 0) for job in jobs)):
            self.slices.append(number_of(jobs[0]))
            yield Pause.BETWEEN
        return [self.answer(job) for job in jobs]

    def check_device(self) -> None:
        self.n_checks += 1
        if self.n_failing_checks:
            self.n_failing_checks -= 1
            raise RuntimeError("the device fails")

    def close(self) -> None:
        self.n_closed += 1

    def answer(self, job: Job) -> Prediction:
        self.entered.set()
        assert self.gate.wait(LIMIT_S)
        number = number_of(job)
        self.done.append(number)
        self.threads.add(threading.get_ident())
        if number in self.errors:
            raise self.errors[number]
        return Prediction(np.array([number], np.float32))

    def hold(self) -> None:
        """Make the next job wait for `gate`."""
        self.entered.clear()
        self.gate.clear()


MakeQueue = Callable[..., DeviceQueue]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 2 * LIMIT_S))


async def submit(queue: DeviceQueue, number: int, deadline_s: float = LIMIT_S) -> Done[Prediction]:
    """Submit a job with a deadline that starts now."""
    return await queue.submit(job(number), Deadline(deadline_s))


async def submit_all(
    queue: DeviceQueue, numbers: range, deadline_s: float = LIMIT_S
) -> list[asyncio.Task[Done[Prediction]]]:
    """Submit jobs in order, and return when they are all in the queue."""
    tasks = []
    for number in numbers:
        tasks.append(asyncio.create_task(submit(queue, number, deadline_s)))
        await asyncio.sleep(0)
    return tasks


async def hold_first(
    runner: Runner, queue: DeviceQueue, deadline_s: float = LIMIT_S
) -> asyncio.Task[Done[Prediction]]:
    """Submit job 0, and return when the device is busy with it."""
    runner.hold()
    (task,) = await submit_all(queue, range(1), deadline_s)
    assert await asyncio.to_thread(runner.entered.wait, LIMIT_S)
    return task


def result_of(done: Done[Prediction]) -> int:
    return int(done.result.logits[0])


def loading(load: Callable[[], Runner]) -> Callable[[], Engines]:
    """Load an engine for the model that jobs name."""
    return lambda: {"a model": load()}


def ready_queue(load: Callable[[], Runner]) -> DeviceQueue:
    loaded = threading.Event()
    queue = DeviceQueue([loading(load)], size=64, on_loaded=loaded.set)
    queue.start()
    assert loaded.wait(LIMIT_S)
    return queue
