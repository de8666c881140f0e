"""The command line in tests: what a command printed, and its exit status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class CommandResult:
    """Exit status and output of a command."""

    code: int
    out: str
    err: str


Lrpserve = Callable[..., CommandResult]


def assert_one_sentence(done: CommandResult, *said: str) -> None:
    assert done.code == 2
    assert "Traceback" not in done.err
    (line,) = done.err.strip().splitlines()
    for text in ("error: ", *said):
        assert text in line
