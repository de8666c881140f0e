"""`wrk`: so many requests as a number of connections can send, and how long they took."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Only a 2xx is an answer; latencies are in microseconds.
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
class Payload:
    """A request's body and what it is."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes
    ----------
    per_s : float
        Good answers in a second.
    n_bad : int
        Answers that were not good, and requests that got none.
    p50_ms, p99_ms : float
        Percentiles of the time of an answer.
    """

    per_s: float
    n_bad: int
    p50_ms: float
    p99_ms: float


def read_output(output: str) -> Load:
    """Read what `wrk` has printed with our script.

    Raises
    ------
    ValueError
        It is something else.
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
    """Send the same request again and again.

    Parameters
    ----------
    url : str
        Where to.
    payload : Payload
        What.
    connections : int
        Each waits for its answer before it sends the next request.
    seconds : int
        How long.
    folder : Path
        For what `wrk` reads.
    """
    body, script = folder / "body", folder / "script.lua"
    body.write_bytes(payload.body)
    script.write_text(_SCRIPT % (payload.content_type, body), encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    done = subprocess.run(  # noqa: S603  a program of the system, and arguments of ours
        [*command, "-s", str(script), url], capture_output=True, text=True, check=True
    )
    return read_output(done.stdout)
