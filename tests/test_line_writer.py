"""The writer of log lines: in order, without waiting, and with the number of those dropped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.line_writer import MAX_LINES, LineWriter
from tests.helpers.conditions import wait_until

N_LINES = 3_000


def describe(n: int) -> str:
    return f"{n} dropped"


def test_lines_are_written_in_order_and_flushed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = LineWriter(file.fileno(), describe)
        lines = [f"line {n} \ud800" for n in range(N_LINES)]
        for line in lines:
            writer.put(line)
        writer.flush(30)
        written = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
        assert written == [line.replace("\ud800", "\\ud800") for line in lines]


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_pipe_that_nobody_reads_drops_lines_and_says_how_many(is_blocking: bool) -> None:
    reader, end = os.pipe()
    os.set_blocking(end, is_blocking)
    writer = LineWriter(end, describe)
    line = "x" * 100
    n_put = MAX_LINES + 2_000  # a pipe holds fewer than 2,000 of them
    for _ in range(n_put):
        writer.put(line)
    writer.flush(0.01)  # it does not wait for a reader
    kept: list[str] = []
    with os.fdopen(reader, encoding="utf-8") as stream:
        while len(kept) < MAX_LINES:
            kept.append(stream.readline().strip())
        writer.put("the end")
        while kept[-1] != "the end":
            kept.append(stream.readline().strip())
    reported = sum(int(one.split()[0]) for one in kept if one.endswith(" dropped"))
    assert reported == n_put - kept.count(line) > 0


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    full = os.open("/dev/full", os.O_WRONLY)
    fd = os.dup(full)
    writer = LineWriter(fd, describe)
    writer.put("lost")
    writer.flush(30)
    os.dup2(file, fd)
    writer.put("kept")
    wait_until(lambda: (tmp_path / "log").read_text(encoding="utf-8") == "1 dropped\nkept\n")
