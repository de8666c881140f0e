"""The list of models that worker processes share."""

from __future__ import annotations

import os
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest

from service.shared_models import Acknowledgement, ModelList, SharedModel, SharedModels

MODELS = {"a": SharedModel("/models/ä", "1" * 64)}


def test_it_is_empty_at_first() -> None:
    shared = SharedModels(2)
    assert (shared.read(), shared.generation) == (ModelList(), 0)
    assert shared.acknowledged(1) == Acknowledgement()


def test_another_process_reads_what_is_published_and_acknowledges_it() -> None:
    shared = SharedModels(2)
    assert shared.publish({"b": MODELS["a"], **MODELS}) == 1
    assert shared.publish(MODELS) == 2
    assert run_in_process(follow, shared) == (ModelList(2, MODELS), 2)
    assert shared.acknowledged(1) == Acknowledgement(2, {"a": "it is torn"})
    assert shared.acknowledged(0) == Acknowledgement()


def follow(shared: SharedModels, results: Connection) -> None:
    shared.acknowledge(1, Acknowledgement(2, {"a": "it is torn"}))
    results.send((shared.read(), shared.generation))


def test_one_process_at_a_time_changes_it() -> None:
    shared = SharedModels(1)
    assert shared.try_begin()
    assert not shared.try_begin()
    assert run_in_process(begin, shared) is False
    shared.end()
    assert run_in_process(begin, shared) is True  # and ends without an end
    assert shared.try_begin()


def begin(shared: SharedModels, results: Connection) -> None:
    results.send(shared.try_begin())
    os._exit(0)


def test_what_does_not_fit_is_refused() -> None:
    shared = SharedModels(1)
    with pytest.raises(ValueError, match="do not fit"):
        shared.publish({"a": SharedModel("x" * (1 << 20), "")})
    assert shared.read() == ModelList()


def run_in_process(target: object, shared: SharedModels) -> object:
    spawning = get_context("spawn")
    results, sent = spawning.Pipe(duplex=False)
    process = spawning.Process(target=target, args=(shared, sent))  # type: ignore[arg-type]
    process.start()
    assert results.poll(60)
    result: object = results.recv()
    process.join(60)
    return result
