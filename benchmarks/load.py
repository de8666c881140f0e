"""A closed loop with `wrk`: each connection sends its next request after a response."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.payloads import Payload

# Only a 2xx is a good response; latencies are in microseconds.
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "%s"
local file = io.open("%s", "rb")
wrk.body = file:read("*all")
file:close()
done = function(summary, latency)
  local errors = summary.errors
  local keys = '\\n{"n": %%d, "us": %%d, "bad": %%d, "lost": %%d, "p50": %%d, "p99": %%d}'
  io.write(string.format(keys,
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """The result of a load.

    Attributes
    ----------
    per_s : float
        Good responses per second.
    n_bad : int
        Responses with an error status, and requests without a response.
    p50_ms, p99_ms : float
        Percentiles of the latency.
    """

    per_s: float
    n_bad: int
    p50_ms: float
    p99_ms: float


def read_output(output: str) -> Load:
    """Parse the output of `wrk` with our script.

    Raises
    ------
    ValueError
        The last line is not the script's.
    """
    found = json.loads(output.splitlines()[-1])
    n_good = found["n"] - found["bad"]
    return Load(
        per_s=n_good / (found["us"] / 1e6),
        n_bad=found["bad"] + found["lost"],
        p50_ms=found["p50"] / 1e3,
        p99_ms=found["p99"] / 1e3,
    )


def put_load(url: str, payload: Payload, connections: int, seconds: int, folder: Path) -> Load:
    """Repeat a request for `seconds` on each of the connections; `folder` is for wrk's files."""
    body, script = folder / "body", folder / "script.lua"
    body.write_bytes(payload.body)
    script.write_text(_SCRIPT % (payload.content_type, body), encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    done = subprocess.run(  # noqa: S603  a program of the system, and arguments of ours
        [*command, "-s", str(script), url], capture_output=True, text=True, check=True
    )
    return read_output(done.stdout)
