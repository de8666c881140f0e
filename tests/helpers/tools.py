"""Programs of the system that some tests need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def find_tool(name: str, package: str | None = None) -> str:
    """The path of a program; the test is skipped where it is missing, but fails in CI."""
    found = shutil.which(name)
    if found is None:
        cannot_run(f"{name} is not installed (Debian's package {package or name})")
    return found


def cannot_run(reason: str) -> NoReturn:
    """Skip the test, but fail in CI."""
    message = f"{reason}: this test cannot run"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
