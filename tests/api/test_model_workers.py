"""What a worker waits for after it has changed its models: the others, and their reasons."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.api import model_workers
from service.api.model_workers import ModelWorkers
from service.errors import Conflict, LoadIncomplete
from service.models.card import ModelCard
from service.models.lookup import FoundBundle
from service.shared_models import SharedModels
from service.worker_state import State, WorkerSlot, WorkerStates


@pytest.fixture
def slots() -> list[WorkerSlot]:
    states, models = WorkerStates(2), SharedModels(2)
    for worker in range(2):
        states.write(worker, State.READY)
    return [WorkerSlot(states, worker, models=models) for worker in range(2)]


@pytest.fixture
def served(card: ModelCard) -> dict[str, FoundBundle]:
    return {card.name: FoundBundle(Path("/models/a"), card)}


def test_it_waits_for_the_others(slots: list[WorkerSlot], served: dict[str, FoundBundle]) -> None:
    first, second = map(ModelWorkers, slots)
    first.begin(served)
    assert (first.is_current, second.is_current) == (True, False)

    async def wait() -> int:
        waiting = asyncio.create_task(first.wait_for_others())
        await asyncio.sleep(0)
        assert not waiting.done()
        second.acknowledge(second.read().generation)
        return await waiting

    assert asyncio.run(wait()) == 2
    assert second.is_current


def test_a_worker_that_cannot_follow_is_named_with_its_reason(
    slots: list[WorkerSlot], served: dict[str, FoundBundle]
) -> None:
    first, second = map(ModelWorkers, slots)
    first.begin(served)
    second.acknowledge(1, {"a-model": "no memory is left"})
    with pytest.raises(LoadIncomplete, match="worker 1 serves a-model as before: no memory"):
        asyncio.run(first.wait_for_others())


def test_a_worker_that_takes_too_long_is_named(
    slots: list[WorkerSlot], served: dict[str, FoundBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_workers, "LIMIT_S", 0.05)
    first = ModelWorkers(slots[0])
    first.begin(served)
    with pytest.raises(LoadIncomplete, match=r"the workers \[1\] serve their models as before"):
        asyncio.run(first.wait_for_others())
    slots[1].write(State.ABSENT)  # its replacement reads the list
    assert asyncio.run(first.wait_for_others()) == 1


def test_another_operation_that_takes_too_long_is_a_conflict(
    slots: list[WorkerSlot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_workers, "LIMIT_S", 0.05)
    first, second = map(ModelWorkers, slots)

    async def begin_both() -> None:
        async with first.operation(), second.operation():
            pass

    with pytest.raises(Conflict, match="another request is loading"):
        asyncio.run(begin_both())


def test_a_replacement_with_a_newer_bundle_lets_the_others_follow(
    slots: list[WorkerSlot], served: dict[str, FoundBundle], card: ModelCard
) -> None:
    first, second = map(ModelWorkers, slots)
    gone = FoundBundle(Path("/models/gone"), card.model_copy(update={"name": "gone"}))
    first.begin({**served, "gone": gone})
    newer = FoundBundle(Path("/models/a"), card.model_copy(update={"sha256": "0" * 64}))
    second.begin({card.name: newer})
    assert not first.is_current
    models = first.read().models
    assert models[card.name].version == newer.card.digest != card.digest
    assert "gone" in models  # the others have it in memory
