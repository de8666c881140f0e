"""The application of a replica, in this process and without Ray."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.errors import Broken, BundleError
from service.ray.replica import Replica, make_replica_app
from service.settings import Settings
from service.worker_state import State
from tests.helpers.servers import copy_bundle


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Restore the logger that a replica configures."""
    logger = logging.getLogger("service")
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def replica_of(app: FastAPI) -> Replica:
    replica = Replica()
    replica.app = app
    return replica


async def run_lifespan(app: FastAPI, image: bytes | None = None) -> httpx.Response | None:
    """Start an application, send it an image, check its health, and end it."""
    async with app.router.lifespan_context(app):
        if image is None:
            await replica_of(app).check_health()
            return None
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            return await client.post(
                "/predict", content=image, headers={"Content-Type": "image/jpeg"}
            )


def test_a_replica_has_started_when_its_model_is_loaded(cat: Path) -> None:
    app = make_replica_app(Settings(device="cpu"))
    response = asyncio.run(run_lifespan(app, cat.read_bytes()))
    assert response is not None
    assert response.status_code == 200
    assert response.json()["predictions"][0]["label"] == "cat"
    assert "x-request-id" not in response.headers  # Ray's proxy adds it


def test_a_replica_without_its_model_fails_with_the_reason(tmp_path: Path) -> None:
    bundle = copy_bundle(tmp_path / "broken")
    weights = bundle / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    app = make_replica_app(Settings(device="cpu", model=str(bundle)))
    with pytest.raises(BundleError, match=r"is not the file that model\.json describes"):
        asyncio.run(run_lifespan(app))


def test_a_replica_whose_device_is_broken_is_replaced() -> None:
    app = make_replica_app(Settings(device="cpu"))
    asyncio.run(replica_of(app).check_health())
    app.state.lrpserve.queue.state = State.BROKEN
    with pytest.raises(Broken):
        asyncio.run(replica_of(app).check_health())
