"""Environments that several tests with clients and systems of others share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.environments import environment


@pytest.fixture(scope="session")
def clients() -> Path:
    """The Python of an environment with kserve's and Triton's clients.

    kserve needs an older psutil than the service's own tools, Triton's client an older grpcio. A
    process imports one of them: both register the same protocol buffers.
    """
    return environment("clients", "kserve==0.21.0", "tritonclient[http,grpc]==2.73.0")
