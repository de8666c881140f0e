"""What the protocol and the server need of uvicorn is checked when they are imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

HTTP = "uvicorn.protocols.http.httptools_impl"


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (f"del {HTTP}.HttpToolsProtocol.send_400_response", "HttpToolsProtocol.send_400_response"),
        (
            f"{HTTP}.RequestResponseCycle.__init__ = lambda self: None",
            "RequestResponseCycle.response_started",
        ),
        ("del uvicorn.Server.capture_signals", "Server.capture_signals"),
    ],
    ids=["method", "attribute", "server"],
)
def test_a_hook_that_uvicorn_does_not_have_fails_at_import(change: str, missing: str) -> None:
    code = f"import uvicorn, {HTTP}\n{change}\nimport service.server.process"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f" has no {missing}, which lrpserve is built on; install a version" in done.stderr
    assert done.stderr.rstrip().rpartition("\n")[2].startswith("ImportError: uvicorn ")
