"""Environments that several tests with clients and systems of others share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.environments import environment, npm_folder


@pytest.fixture(scope="session")
def clients() -> Path:
    """The Python of an environment with kserve's and Triton's clients.

    kserve needs an older psutil than the service's own tools, Triton's client an older grpcio. A
    process imports one of them: both register the same protocol buffers.
    """
    return environment("clients", "kserve==0.21.0", "tritonclient[http,grpc]==2.73.0")


@pytest.fixture(scope="session")
def kubernetes_models() -> Path:
    """A folder of npm with the models of Prometheus' operator and of KEDA."""
    return npm_folder(
        "kubernetes-models",
        "@kubernetes-models/prometheus-operator@6.0.0",
        "@kubernetes-models/keda@2.0.0",
        "typescript@7.0.2",
    )
