"""A real browser for tests: Debian's Chromium, headless, with no way out of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
    # whatever a page would fetch from elsewhere fails, as it does where there is no network
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def rendered_page(url: str, profile: Path) -> str:
    """The page's document after its scripts have run; skips where there is no Chromium."""
    done = subprocess.run(
        [_chromium(), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout


def _chromium() -> str:
    found = shutil.which("chromium")
    if found is not None:
        return found
    message = "Chromium is not installed (Debian's package chromium): browser tests cannot run"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
