"""The states of the device queue: loading, grace period, stalling, closing, dying."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from service.errors import (
    Broken,
    BundleError,
    DeadlineExceeded,
    InternalError,
    NotReady,
    ServiceError,
)
from service.runtime.queue import DeviceQueue
from service.worker_state import State
from tests.runtime.running import (
    LIMIT_S,
    MakeQueue,
    Runner,
    hold_first,
    loading,
    ready_queue,
    result_of,
    run,
    submit,
    submit_all,
)


def is_any_alive(queue: DeviceQueue) -> bool:
    return any(thread._thread.is_alive() for thread in queue._threads)


# Closing refuses new jobs, finishes the accepted ones, and ends the threads.


def test_closing_refuses_new_jobs_and_finishes_accepted_ones(
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
            await submit(queue, 9)
        assert refused.value.headers["Retry-After"] == "1"
        runner.gate.set()
        answers = await asyncio.gather(first, *others)
        await closing
        assert [result_of(answer) for answer in answers] == runner.done == [0, 1, 2, 3]
        assert not is_any_alive(queue)

    run(scenario())


def test_closing_an_idle_queue_ends_its_thread(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.close()
    assert not is_any_alive(queue)


def test_closing_while_it_loads_waits_and_is_never_ready(runner: Runner) -> None:
    gate, ended = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue([loading(load)], size=1, on_loaded=ended.set)
    queue.start()
    closing = threading.Thread(target=queue.close)
    closing.start()
    gate.set()
    closing.join(LIMIT_S)
    assert ended.is_set()
    assert queue.state is State.DRAINING
    assert not is_any_alive(queue)


# The life: starting, ready, draining, broken.


def test_jobs_are_refused_until_the_engine_is_loaded(runner: Runner) -> None:
    gate, loaded = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue([loading(load)], size=1, on_loaded=loaded.set)
    queue.start()

    async def scenario() -> None:
        with pytest.raises(NotReady, match="being loaded") as refused:
            await submit(queue, 1)
        assert refused.value.headers["Retry-After"] == "1"
        states, before = [queue.state], queue.layers
        gate.set()
        assert await asyncio.to_thread(loaded.wait, LIMIT_S)
        states.append(queue.state)
        assert states == [State.STARTING, State.READY]
        assert queue.device_name == "a device"
        assert (before, queue.layers) == ({}, {"a model": runner.layers})
        assert result_of(await submit(queue, 1)) == 1

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
        with pytest.raises(Broken, match="could not load"):
            await submit(queue, 1)

    run(scenario())
    queue.close()
    assert queue.state is State.BROKEN


def test_in_the_grace_period_it_is_not_ready_but_serves(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        queue.begin_grace()
        states = [queue.state]
        assert result_of(await submit(queue, 1)) == 1
        queue.close()
        assert [*states, queue.state] == [State.GRACE, State.DRAINING]
        with pytest.raises(NotReady, match="shutting down"):
            await submit(queue, 2)

    run(scenario())


def test_a_signal_handler_may_interrupt_the_holder_of_the_lock(
    runner: Runner, make_queue: MakeQueue
) -> None:
    queue, left = make_queue(), threading.Event()

    def interrupted() -> None:
        with queue._lock:  # as in the middle of taking a job
            queue.begin_grace()
        left.set()

    threading.Thread(target=interrupted, daemon=True).start()
    assert left.wait(LIMIT_S)
    assert queue.state is State.GRACE


def test_a_grace_period_before_it_is_ready_is_draining(runner: Runner) -> None:
    gate, ended = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return runner

    queue = DeviceQueue([loading(load)], size=1, on_loaded=ended.set)
    queue.start()
    queue.begin_grace()
    gate.set()
    assert ended.wait(LIMIT_S)
    assert queue.state is State.DRAINING
    queue.close()


def test_it_is_stalled_while_a_batch_hangs_even_if_it_is_cancelled(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        assert queue.health(0.0) is State.READY  # nothing is to be done
        first = await hold_first(runner, queue, deadline_s=0.1)
        with pytest.raises(DeadlineExceeded):
            await first
        assert queue.health(0.05) is State.STALLED
        assert queue.health(LIMIT_S) is State.READY
        runner.gate.set()
        await submit(queue, 1)
        queue.close()
        assert queue.health(0.0) is State.DRAINING

    run(scenario())


def test_a_thread_that_dies_fails_all_jobs(
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
        with pytest.raises(Broken, match="has to be restarted") as refused:
            await submit(queue, 9)
        assert not refused.value.headers

    run(scenario())
    assert "a device thread has died" in caplog.text


def test_an_error_of_the_callback_after_loading_does_not_stop_the_device(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    def tell() -> None:
        told.set()
        raise BrokenPipeError("nobody reads the output")

    queue = DeviceQueue([loading(lambda: runner)], size=1, on_loaded=tell)
    queue.start()
    assert told.wait(LIMIT_S)

    async def scenario() -> None:
        assert result_of(await submit(queue, 1)) == 1

    run(scenario())
    queue.close()
    assert "nobody reads the output" in caplog.text


# Several devices: a thread for each, and one queue


def test_a_free_device_takes_queued_jobs() -> None:
    runners = Runner(), Runner()
    runners[0].hold()
    loads = [loading(iter([runner]).__next__) for runner in runners]
    loaded = threading.Event()
    queue = DeviceQueue(loads, size=64, on_loaded=loaded.set)
    queue.start()
    assert loaded.wait(LIMIT_S)
    assert queue.device_name == "a device, a device"

    async def scenario() -> None:
        tasks = await submit_all(queue, range(2))
        while not runners[0].entered.is_set():  # until the one that is held has something
            tasks += await submit_all(queue, range(len(tasks), len(tasks) + 1))
            await asyncio.sleep(0.01)
        others = await submit_all(queue, range(len(tasks), len(tasks) + 8))
        assert {result_of(done) for done in await asyncio.gather(*others)} == set(
            range(len(tasks), len(tasks) + 8)
        )
        runners[0].gate.set()
        answers = await asyncio.gather(*tasks)
        assert [result_of(answer) for answer in answers] == list(range(len(tasks)))
        assert not set(runners[0].done) & set(runners[1].done)

    run(scenario())
    queue.close()
    assert not is_any_alive(queue)


def test_it_is_ready_when_all_devices_are(runner: Runner) -> None:
    gate, loaded = threading.Event(), threading.Event()

    def load() -> Runner:
        assert gate.wait(LIMIT_S)
        return Runner()

    queue = DeviceQueue([loading(lambda: runner), loading(load)], size=1, on_loaded=loaded.set)
    queue.start()
    while not queue._threads[0].engines:
        time.sleep(0.01)
    states = [queue.state]
    gate.set()
    assert loaded.wait(LIMIT_S)
    assert [*states, queue.state] == [State.STARTING, State.READY]
    queue.close()


def test_one_device_that_cannot_be_loaded_breaks_it(runner: Runner) -> None:
    n_told = 0
    told = threading.Event()

    def load() -> Runner:
        raise BundleError("there is no such device")

    def tell() -> None:
        nonlocal n_told
        n_told += 1
        told.set()

    queue = DeviceQueue([loading(load), loading(lambda: runner)], size=1, on_loaded=tell)
    queue.start()
    assert told.wait(LIMIT_S)
    queue.close()
    assert queue.state is State.BROKEN
    assert queue.failure is not None
    assert queue.failure.detail == "there is no such device"
    assert n_told == 1
