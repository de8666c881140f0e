"""The contract of the device queue, sentence by sentence, on an engine that the tests control."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from service.errors import (
    BundleError,
    DeadlineExceeded,
    InternalError,
    NotReady,
    OptionError,
    QueueFull,
    ServiceError,
)
from service.runtime.jobs import Job, LayerInfo, Prediction, PredictJob
from service.runtime.queue import DeviceQueue, Done, Layers, State

LIMIT_S = 10.0


def job(number: int) -> PredictJob:
    return PredictJob(np.full((1, 1, 3), number, np.uint8), "a model")


def number_of(job: Job) -> int:
    return int(job.pixels[0, 0, 0])


class Runner:
    """An engine that notes what it does; it waits where it is told to, and fails where told to."""

    device_name = "a device"

    def __init__(self) -> None:
        self.layers: Layers = {"a model": (LayerInfo("input", "Image", (3, 1, 1)),)}
        self.size = 1
        self.sizes: list[int] = []  # of the batches that it did
        self.done: list[int] = []
        self.threads: set[int] = set()
        self.errors: dict[int, BaseException] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.is_wanted: Callable[[], bool] = lambda: True  # as the last job was given it

    def best_size(self, job: Job) -> int:
        return self.size

    def run(
        self, jobs: Sequence[Job], is_wanted: Callable[[], bool]
    ) -> list[Prediction | Exception]:
        self.sizes.append(len(jobs))
        return [self.answer(job, is_wanted) for job in jobs]

    def answer(self, job: Job, is_wanted: Callable[[], bool]) -> Prediction:
        self.is_wanted = is_wanted
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


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def make_queue(runner: Runner) -> Iterator[MakeQueue]:
    """Makes queues that are ready; they are closed at the end."""
    made: list[DeviceQueue] = []

    def make(size: int = 8, deadline_s: float = LIMIT_S) -> DeviceQueue:
        loaded = threading.Event()
        queue = DeviceQueue(lambda: runner, size, deadline_s, on_loaded=loaded.set)
        queue.start()
        assert loaded.wait(LIMIT_S)
        made.append(queue)
        return queue

    yield make
    runner.gate.set()
    for queue in made:
        queue.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 2 * LIMIT_S))


async def submit_all(queue: DeviceQueue, numbers: range) -> list[asyncio.Task[Done[Prediction]]]:
    """Submit jobs in order, and return when they are all in the queue."""
    tasks = []
    for number in numbers:
        tasks.append(asyncio.create_task(queue.submit(job(number))))
        await asyncio.sleep(0)
    return tasks


async def hold_first(runner: Runner, queue: DeviceQueue) -> asyncio.Task[Done[Prediction]]:
    """Submit job 0, and return when the device is busy with it."""
    runner.hold()
    (task,) = await submit_all(queue, range(1))
    assert await asyncio.to_thread(runner.entered.wait, LIMIT_S)
    return task


def result_of(done: Done[Prediction]) -> int:
    return int(done.result.logits[0])


# One thread owns the engine; nothing else touches it.


def test_one_thread_loads_the_engine_and_runs_every_job(runner: Runner) -> None:
    loaders = []

    def load() -> Runner:
        loaders.append(threading.get_ident())
        return runner

    async def scenario() -> None:
        await asyncio.gather(*await submit_all(queue, range(20)))
        assert len(runner.done) == 20

    queue = ready_queue(load)
    run(scenario())
    queue.close()
    assert runner.threads == set(loaders) != {threading.get_ident()}


def ready_queue(load: Callable[[], Runner]) -> DeviceQueue:
    loaded = threading.Event()
    queue = DeviceQueue(load, size=64, deadline_s=LIMIT_S, on_loaded=loaded.set)
    queue.start()
    assert loaded.wait(LIMIT_S)
    return queue


# Jobs are done one at a time, in the order in which they came.


def test_jobs_are_done_in_the_order_in_which_they_came(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 8))
        runner.gate.set()
        answers = await asyncio.gather(first, *others)
        assert runner.done == [result_of(answer) for answer in answers] == list(range(8))

    run(scenario())


def test_an_answer_says_how_long_it_waited_and_ran(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        (second,) = await submit_all(queue, range(1, 2))
        await asyncio.sleep(0.1)
        runner.gate.set()
        assert (await first).compute_ms >= 100
        assert (await second).queue_ms >= 100 > (await second).compute_ms

    run(scenario())


# ... or together, each with an answer of its own.


def test_what_waits_is_done_together_and_each_gets_its_own_answer(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=64)
        runner.size = 8
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 20))
        runner.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [result_of(answer) for answer in answers] == list(range(20))
        assert runner.sizes == [1, 8, 8, 3]
        assert [answer.batch_size for answer in answers] == [1, *[8] * 16, *[3] * 3]

    run(scenario())


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError()], ids=repr)
def test_one_of_32_that_fails_leaves_31_right_answers(
    runner: Runner, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=64)
        runner.size = 32
        runner.errors[13] = error
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 33))
        runner.gate.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        failed = answers.pop(13)
        assert isinstance(failed, InternalError)
        assert [result_of(answer) for answer in answers if isinstance(answer, Done)] == [
            number for number in range(33) if number != 13
        ]
        assert result_of(await queue.submit(job(40))) == 40

    run(scenario())
    assert len(caplog.records) == 1  # not one for each half


def test_retry_after_counts_what_an_item_of_a_batch_takes(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=64)
        runner.size = 32
        queue._mean_compute_s = 1.0
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 33))
        runner.gate.set()
        await asyncio.gather(first, *others)
        assert queue._mean_compute_s < 0.95

    run(scenario())


# A full queue refuses at once (`QueueFull`, with `Retry-After` from the measured rate).


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=3)
        first = await hold_first(runner, queue)
        waiting = await submit_all(queue, range(1, 4))
        with pytest.raises(QueueFull, match="3 requests are waiting") as refused:
            await queue.submit(job(9))
        assert refused.value.headers["Retry-After"] == "1"
        runner.gate.set()
        await asyncio.gather(first, *waiting)
        assert runner.done == [0, 1, 2, 3]
        await queue.submit(job(9))  # there is room again

    run(scenario())


def test_retry_after_follows_the_measured_rate(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue(size=2)
        first = await hold_first(runner, queue)
        queue._mean_compute_s = 20.0
        waiting = await submit_all(queue, range(1, 3))
        with pytest.raises(QueueFull) as refused:
            await queue.submit(job(9))
        assert refused.value.headers["Retry-After"] == "40"
        runner.gate.set()
        await asyncio.gather(first, *waiting)
        assert queue._mean_compute_s < 20

    run(scenario())


def test_jobs_that_nobody_waits_for_take_no_room(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue(size=2)
        first = await hold_first(runner, queue)
        left, _ = await submit_all(queue, range(1, 3))
        left.cancel()
        await asyncio.sleep(0)
        (last,) = await submit_all(queue, range(3, 4))
        runner.gate.set()
        await asyncio.gather(first, last)
        assert runner.done == [0, 2, 3]

    run(scenario())


# Whoever waits longer than the deadline, queued or running, gets `DeadlineExceeded` ...


def test_a_job_that_runs_past_the_deadline_is_answered_then(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(deadline_s=0.1)
        first = await hold_first(runner, queue)
        async with asyncio.timeout(LIMIT_S / 2):
            with pytest.raises(DeadlineExceeded, match=r"within 0\.1 s"):
                await first
        assert not runner.gate.is_set()
        runner.gate.set()

    run(scenario())


def test_a_job_that_runs_learns_when_it_is_not_wanted_any_more(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        first = await hold_first(runner, make_queue(deadline_s=0.1))
        was_wanted = runner.is_wanted()
        with pytest.raises(DeadlineExceeded):
            await first
        assert (was_wanted, runner.is_wanted()) == (True, False)
        runner.gate.set()

    run(scenario())


def test_a_job_that_waits_past_the_deadline_is_answered_then_and_not_run(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(deadline_s=0.1)
        first, second = await hold_first(runner, queue), queue.submit(job(1))
        async with asyncio.timeout(LIMIT_S / 2):
            answers = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DeadlineExceeded] * 2
        runner.gate.set()
        await queue.submit(job(2))
        assert runner.done == [0, 2]

    run(scenario())


# ... a job that nobody waits for any more is skipped.


def test_a_job_whose_caller_has_left_is_skipped_and_the_others_are_answered(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        before, left, after = await submit_all(queue, range(1, 4))
        left.cancel()
        await asyncio.sleep(0)
        runner.gate.set()
        answers = await asyncio.gather(first, before, after)
        assert [result_of(answer) for answer in answers] == runner.done == [0, 1, 3]
        assert left.cancelled()

    run(scenario())


def test_a_caller_that_leaves_while_its_job_runs_harms_nobody(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        (second,) = await submit_all(queue, range(1, 2))
        first.cancel()
        await asyncio.sleep(0)
        runner.gate.set()
        assert result_of(await second) == 1
        assert runner.done == [0, 1]

    run(scenario())


def test_an_event_loop_that_has_ended_harms_nobody(runner: Runner, make_queue: MakeQueue) -> None:
    queue = make_queue()

    async def leave() -> None:
        await hold_first(runner, queue)

    async def stay() -> None:
        assert result_of(await queue.submit(job(1))) == 1

    run(leave())
    runner.gate.set()
    run(stay())


# Every job that was accepted gets exactly one answer; what one job raises, no other sees.


def test_what_a_job_raises_of_ours_reaches_its_caller_and_no_other(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.errors[2] = wanted = OptionError.of("contrast", "is the target")
        answers = await asyncio.gather(*await submit_all(queue, range(4)), return_exceptions=True)
        assert answers[2] is wanted
        assert [result_of(answers[n]) for n in (0, 1, 3)] == [0, 1, 3]  # type: ignore[arg-type]

    run(scenario())


def test_any_other_exception_becomes_an_internal_error_that_only_the_log_explains(
    runner: Runner, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.errors[1] = RuntimeError("the secret cause")
        answers = await asyncio.gather(*await submit_all(queue, range(3)), return_exceptions=True)
        assert isinstance(answers[1], InternalError)
        assert "secret" not in answers[1].detail
        assert [result_of(answers[n]) for n in (0, 2)] == [0, 2]  # type: ignore[arg-type]

    with caplog.at_level(logging.ERROR):
        run(scenario())
    assert "the secret cause" in caplog.text


def test_many_callers_each_get_the_answer_to_their_own_job(make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue(size=256)
        tasks = await submit_all(queue, range(200))
        assert [result_of(answer) for answer in await asyncio.gather(*tasks)] == list(range(200))

    run(scenario())


# Closing refuses new jobs, finishes those that were accepted, and ends the thread.


def test_closing_refuses_new_jobs_and_finishes_those_that_were_accepted(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 4))
        closing = asyncio.create_task(asyncio.to_thread(queue.close))
        while queue.state is not State.DRAINING:  # noqa: ASYNC110  it has no event to wait for
            await asyncio.sleep(0.01)
        with pytest.raises(NotReady, match="shutting down") as refused:
            await queue.submit(job(9))
        assert refused.value.headers["Retry-After"] == "1"
        runner.gate.set()
        answers = await asyncio.gather(first, *others)
        await closing
        assert [result_of(answer) for answer in answers] == runner.done == [0, 1, 2, 3]
        assert not queue._thread.is_alive()

    run(scenario())


def test_closing_an_idle_queue_ends_its_thread(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.close()
    assert not queue._thread.is_alive()


def test_closing_while_it_loads_waits_and_is_never_ready(runner: Runner) -> None:
    gate, ended = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue(load, size=1, deadline_s=LIMIT_S, on_loaded=ended.set)
    queue.start()
    closing = threading.Thread(target=queue.close)
    closing.start()
    gate.set()
    closing.join(LIMIT_S)
    assert ended.is_set()
    assert queue.state is State.DRAINING
    assert not queue._thread.is_alive()


# The life: starting, ready, draining, broken.


def test_jobs_are_refused_until_the_engine_is_loaded(runner: Runner) -> None:
    gate, loaded = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue(load, size=1, deadline_s=LIMIT_S, on_loaded=loaded.set)
    queue.start()

    async def scenario() -> None:
        with pytest.raises(NotReady, match="being loaded") as refused:
            await queue.submit(job(1))
        assert refused.value.headers["Retry-After"] == "1"
        states, before = [queue.state], queue.layers
        gate.set()
        assert await asyncio.to_thread(loaded.wait, LIMIT_S)
        states.append(queue.state)
        assert states == [State.STARTING, State.READY]
        assert queue.device_name == "a device"
        assert (before, queue.layers) == ({}, runner.layers)
        assert result_of(await queue.submit(job(1))) == 1

    run(scenario())
    queue.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BundleError("the weights are torn"), "the weights are torn"),
        (RuntimeError("out of memory"), "the model cannot be loaded: out of memory"),
    ],
)
def test_an_engine_that_cannot_be_loaded_leaves_the_queue_broken(
    error: Exception, said: str
) -> None:
    def load() -> Runner:
        raise error

    queue = ready_queue(load)
    assert queue.state is State.BROKEN
    assert isinstance(queue.failure, ServiceError)
    assert queue.failure.detail == said

    async def scenario() -> None:
        with pytest.raises(NotReady, match="could not load"):
            await queue.submit(job(1))

    run(scenario())
    queue.close()
    assert queue.state is State.BROKEN


def test_while_it_leaves_it_is_not_ready_but_serves(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue()
        queue.leave()
        states = [queue.state]
        assert result_of(await queue.submit(job(1))) == 1
        queue.close()
        assert [*states, queue.state] == [State.LEAVING, State.DRAINING]
        with pytest.raises(NotReady, match="shutting down"):
            await queue.submit(job(2))

    run(scenario())


def test_a_signal_handler_may_interrupt_whoever_holds_the_state(
    runner: Runner, make_queue: MakeQueue
) -> None:
    queue, left = make_queue(), threading.Event()

    def interrupted() -> None:
        with queue._lock:  # as in the middle of taking a job
            queue.leave()
        left.set()

    threading.Thread(target=interrupted, daemon=True).start()
    assert left.wait(LIMIT_S)
    assert queue.state is State.LEAVING


def test_leaving_before_it_is_ready_is_draining(runner: Runner) -> None:
    gate, ended = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue(load, size=1, deadline_s=LIMIT_S, on_loaded=ended.set)
    queue.start()
    queue.leave()
    gate.set()
    assert ended.wait(LIMIT_S)
    assert queue.state is State.DRAINING
    queue.close()


def test_it_is_stalled_while_nothing_comes_of_a_batch_though_nobody_waits_any_more(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(deadline_s=0.1)
        assert not queue.is_stalled(0.0)  # nothing is to be done
        first = await hold_first(runner, queue)
        with pytest.raises(DeadlineExceeded):
            await first
        assert queue.is_stalled(0.05)
        assert not queue.is_stalled(LIMIT_S)
        runner.gate.set()
        await queue.submit(job(1))
        queue.close()
        assert not queue.is_stalled(0.0)

    run(scenario())


def test_a_thread_that_dies_leaves_nobody_waiting(
    runner: Runner, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.errors[0] = SystemExit(1)
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 5))
        runner.gate.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(answer) for answer in answers] == [InternalError] * 5
        assert queue.state is State.BROKEN
        with pytest.raises(NotReady, match="its device failed"):
            await queue.submit(job(9))

    run(scenario())
    assert "the device thread has died" in caplog.text


def test_whoever_is_told_that_it_has_loaded_cannot_stop_the_device(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    def tell() -> None:
        told.set()
        raise BrokenPipeError("nobody reads the output")

    queue = DeviceQueue(lambda: runner, size=1, deadline_s=LIMIT_S, on_loaded=tell)
    queue.start()
    assert told.wait(LIMIT_S)

    async def scenario() -> None:
        assert result_of(await queue.submit(job(1))) == 1

    run(scenario())
    queue.close()
    assert "nobody reads the output" in caplog.text
