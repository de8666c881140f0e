"""The contract of the device queue, sentence by sentence, on an engine that the tests control."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from service.errors import (
    DeadlineExceeded,
    InternalError,
    OptionError,
    QueueFull,
)
from service.runtime.queued_job import Done
from tests.runtime.running import (
    LIMIT_S,
    MakeQueue,
    Runner,
    hold_first,
    ready_queue,
    result_of,
    run,
    submit,
    submit_all,
)

# One thread owns the engines; nothing else touches them.


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


# Jobs run one at a time, in order ...


def test_jobs_run_in_order(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 8))
        runner.gate.set()
        answers = await asyncio.gather(first, *others)
        assert runner.done == [result_of(answer) for answer in answers] == list(range(8))

    run(scenario())


def test_a_result_has_its_times_in_the_queue_and_on_the_device(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first = await hold_first(runner, queue)
        (second,) = await submit_all(queue, range(1, 2))
        await asyncio.sleep(0.1)
        runner.gate.set()
        assert (await first).compute_ms >= 100
        assert (await second).queue_ms >= 100 > (await second).compute_ms

    run(scenario())


# ... or in batches, each with a result of its own.


def test_queued_jobs_share_batches_and_each_gets_its_own_result(
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
        assert runner.sizes == [1, 8, 8, 2, 1]
        assert [answer.batch_size for answer in answers] == [1, *[8] * 16, 2, 2, 1]

    run(scenario())


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError()], ids=repr)
def test_one_of_32_that_fails_leaves_31_correct_results(
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
        assert result_of(await submit(queue, 40)) == 40

    run(scenario())
    assert len(caplog.records) == 1  # not one for each half


def test_retry_after_counts_the_time_per_item_of_a_batch(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=64)
        runner.size = 32
        queue._threads[0].mean_job_s = 1.0
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 33))
        runner.gate.set()
        await asyncio.gather(first, *others)
        assert queue._threads[0].mean_job_s < 0.95

    run(scenario())


# A full queue refuses a job at once (`QueueFull`, with `Retry-After` from the measured rate).


def test_a_full_queue_refuses_at_once_with_retry_after(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue(size=3)
        first = await hold_first(runner, queue)
        waiting = await submit_all(queue, range(1, 4))
        with pytest.raises(QueueFull, match="3 requests are waiting") as refused:
            await submit(queue, 9)
        assert refused.value.headers["Retry-After"] == "1"
        runner.gate.set()
        await asyncio.gather(first, *waiting)
        assert runner.done == [0, 1, 2, 3]
        await submit(queue, 9)  # there is room again

    run(scenario())


def test_retry_after_follows_the_measured_rate(runner: Runner, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue(size=2)
        first = await hold_first(runner, queue)
        queue._threads[0].mean_job_s = 20.0
        waiting = await submit_all(queue, range(1, 3))
        with pytest.raises(QueueFull) as refused:
            await submit(queue, 9)
        assert refused.value.headers["Retry-After"] == "40"
        runner.gate.set()
        await asyncio.gather(first, *waiting)
        assert queue._threads[0].mean_job_s < 20

    run(scenario())


def test_cancelled_jobs_take_no_capacity(runner: Runner, make_queue: MakeQueue) -> None:
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


# A job that waits or runs past its deadline fails with `DeadlineExceeded` ...


def test_a_job_that_runs_past_the_deadline_fails_then(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        first = await hold_first(runner, make_queue(), deadline_s=0.1)
        async with asyncio.timeout(LIMIT_S / 2):
            with pytest.raises(DeadlineExceeded, match=r"within 0\.1 s"):
                await first
        assert not runner.gate.is_set()
        runner.gate.set()

    run(scenario())


def test_a_job_that_is_cancelled_ends_at_its_next_pause(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.n_pauses[7] = 1_000_000_000
        (long,) = await submit_all(queue, range(7, 8), deadline_s=0.1)
        with pytest.raises(DeadlineExceeded):
            await long
        assert result_of(await submit(queue, 1)) == 1
        n_slices = len(runner.slices)
        assert result_of(await submit(queue, 2)) == 2
        assert n_slices == len(runner.slices) > 0

    run(scenario())


def test_jobs_of_one_pass_run_at_the_pauses_of_a_long_one(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.n_pauses[7] = 1_000_000_000
        (long,) = await submit_all(queue, range(7, 8))
        for number in range(3):
            assert result_of(await submit(queue, number)) == number
        assert not long.done()
        long.cancel()

    run(scenario())


def test_a_job_that_waits_past_the_deadline_fails_then_and_is_not_run(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        first, second = await hold_first(runner, queue, 0.1), submit(queue, 1, 0.1)
        async with asyncio.timeout(LIMIT_S / 2):
            answers = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DeadlineExceeded] * 2
        runner.gate.set()
        await submit(queue, 2)
        assert runner.done == [0, 2]

    run(scenario())


# ... a cancelled job is skipped.


def test_a_cancelled_job_is_skipped_and_the_others_run(
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


def test_cancelling_a_running_job_does_not_affect_others(
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


def test_a_closed_event_loop_does_not_affect_others(runner: Runner, make_queue: MakeQueue) -> None:
    queue = make_queue()

    async def leave() -> None:
        await hold_first(runner, queue)

    async def stay() -> None:
        assert result_of(await submit(queue, 1)) == 1

    run(leave())
    runner.gate.set()
    run(stay())


# Every accepted job gets one result or one error; an error of one does not reach another.


def test_a_service_error_of_a_job_reaches_its_caller_only(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        runner.errors[2] = wanted = OptionError.of("contrast", "is the target")
        answers = await asyncio.gather(*await submit_all(queue, range(4)), return_exceptions=True)
        assert answers[2] is wanted
        assert [result_of(answers[n]) for n in (0, 1, 3)] == [0, 1, 3]  # type: ignore[arg-type]

    run(scenario())


def test_other_exceptions_become_internal_errors_and_are_logged(
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


def test_many_callers_each_get_their_own_result(make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        queue = make_queue(size=256)
        tasks = await submit_all(queue, range(200))
        assert [result_of(answer) for answer in await asyncio.gather(*tasks)] == list(range(200))

    run(scenario())
