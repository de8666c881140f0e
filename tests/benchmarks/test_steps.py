"""The steps of a request do what the service does."""

from __future__ import annotations

import asyncio
import json

import pytest
import torch

from benchmarks.in_process import Answered
from benchmarks.serving import sample
from benchmarks.steps import Sample, make_sample, steps_of, time_step, to_table
from service.runtime.engine import Engine
from service.runtime.engines import Engines
from service.runtime.jobs import Explanation
from service.runtime.queue import DeviceQueue
from service.settings import DEFAULT_MODEL
from service.worker_state import State


@pytest.fixture(scope="module")
def one(engine: Engine) -> Sample:
    return make_sample(Engines({DEFAULT_MODEL: engine}, torch.device("cpu")), engine.card, sample())


def test_each_step_can_be_repeated_and_gives_its_part_of_the_answer(one: Sample) -> None:
    async def run() -> dict[str, object]:
        queue = DeviceQueue([lambda: Answered(one.explanation)], 4, 30.0)
        queue.start()
        while queue.state is not State.READY:  # noqa: ASYNC110  it tells only other threads
            await asyncio.sleep(0.01)
        steps = steps_of(one, queue)
        for step in steps.values():
            assert len(await time_step(step, n=2, repeats=2)) == 2
        done = await queue.submit(one.question.job(one.image.pixels))
        queue.close()
        return {"steps": list(steps), "result": done.result}

    found = asyncio.run(run())
    assert isinstance(found["result"], Explanation)
    assert found["result"] is one.explanation
    assert "decode and fit the image" in str(found["steps"])


def test_the_sample_is_answered_by_the_class_that_is_in_it(one: Sample) -> None:
    target = one.explanation.attributions[0].target
    assert one.card.labels[target] == "horse"
    assert json.dumps(one.question.method.describe())


def test_the_table_has_medians_and_quartiles() -> None:
    table = to_table({"a step": [1.0, 2.0, 3.0, 4.0, 100.0]}, "title")
    assert [list(column.cells) for column in table.columns] == [
        ["a step"],
        ["3"],
        ["2 to 4"],
        ["5"],
    ]
