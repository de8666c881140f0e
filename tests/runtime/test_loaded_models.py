"""Versions of models: which engine runs a job, and when that of a replaced one is closed."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest

from service.errors import OptionError
from service.models.card import ModelCard
from service.runtime.deadline import Deadline
from service.runtime.loaded_models import LoadedModel, LoadedModels
from tests.runtime.running import (
    LIMIT_S,
    MakeQueue,
    Runner,
    hold_first,
    job,
    result_of,
    run,
    submit,
)

NAME = "a model"


def test_a_job_runs_on_the_version_that_it_was_made_for() -> None:
    models, old, new = LoadedModels(), LoadedModel("old", [Runner()]), LoadedModel("new", [])
    models.serve({NAME: old})
    models.serve({NAME: new})
    assert models.of(replace(job(1), version="old")) is old
    assert models.of(replace(job(1), version="new")) is new
    assert models.of(job(1)) is new


def test_a_version_that_nothing_refers_to_is_closed_and_unknown() -> None:
    models, runner = LoadedModels(), Runner()
    models.serve({NAME: LoadedModel("old", [runner, runner])})
    models.serve({})
    assert runner.n_closed == 2
    with pytest.raises(OptionError, match="unloaded"):
        models.of(replace(job(1), version="old"))


def test_a_version_lives_as_long_as_a_card_of_it(card: ModelCard) -> None:
    models, runner, held = LoadedModels(), Runner(), card.model_copy()
    model = LoadedModel(held.digest, [runner])
    model.keep_for(held)
    models.serve({NAME: model})
    models.serve({})
    del model
    assert runner.n_closed == 0
    assert models.of(replace(job(1), version=held.digest)).engines == (runner,)
    del held
    assert runner.n_closed == 1


def test_a_queued_job_runs_on_a_model_that_is_replaced_meanwhile(
    runner: Runner, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue, other = make_queue(), Runner()
        first = await hold_first(runner, queue)
        queue.serve({NAME: LoadedModel("new", [other])})
        assert runner.n_closed == 0
        second = queue.submit(job(2), Deadline(LIMIT_S))
        runner.gate.set()
        assert result_of(await first) == 0
        assert result_of(await second) == 2
        assert (runner.done, other.done) == ([0], [2])

    run(scenario())
    assert runner.n_closed == 1


def test_versions_share_no_batch(runner: Runner, make_queue: MakeQueue) -> None:
    assert replace(job(1), version="old").key != replace(job(1), version="new").key

    async def scenario() -> None:
        queue = make_queue()
        queue.serve({})
        with pytest.raises(OptionError, match="unloaded"):
            await submit(queue, 1)

    run(scenario())


def test_the_initial_models_are_freed_when_they_are_replaced(make_queue: MakeQueue) -> None:
    queue = make_queue()
    model = weakref.ref(queue.models[NAME])
    assert model() is not None
    queue.serve({NAME: LoadedModel("new", [Runner()])})
    gc.collect()
    assert model() is None
