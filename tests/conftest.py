"""What many tests share: sample images, the shipped bundle, an engine, a running server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from hypothesis import settings

from service.models.bundles import Bundle, read_bundle
from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.settings import DEFAULT_MODEL, PREFIX
from tests.helpers.servers import RunningServer, running_server

SAMPLES = Path(__file__).parent / "samples"

# how long an example may take depends on the machine, and on what else it does
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# `nohup` ignores SIGHUP, and a shell's `&` SIGINT: processes under test would inherit that, while
# handlers are not inherited
signal.signal(signal.SIGHUP, lambda number, frame: None)
signal.signal(signal.SIGINT, signal.default_int_handler)

torch.set_num_threads(1)  # the networks are small, and the servers under test need the other core


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> None:
    """Settings of whoever runs the tests must not reach the tests."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def samples() -> list[Path]:
    """200 test images of CIFAR-10 (JPEG q75), 20 of each class, in a fixed order."""
    return sorted(SAMPLES.glob("*/*.jpg"))


@pytest.fixture(scope="session")
def cat(samples: list[Path]) -> Path:
    """One of them: a cat that the shipped model recognizes."""
    return SAMPLES / "cat" / "0000.jpg"


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    """The bundle that ships; do not change its model."""
    return read_bundle(find_bundle(DEFAULT_MODEL))


@pytest.fixture(scope="session")
def card(shipped_bundle: Bundle) -> ModelCard:
    """Its card."""
    return shipped_bundle.card


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine of its own for this process, on the CPU."""
    return Engine(read_bundle(find_bundle(DEFAULT_MODEL)), torch.device("cpu"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server process with the default settings, shared by all tests."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=server.url, timeout=60) as connected:
        yield connected
