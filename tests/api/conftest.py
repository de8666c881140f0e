"""Fixtures of the HTTP API's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def photo(cat: Path) -> bytes:
    """The bytes of an image that is served."""
    return cat.read_bytes()
