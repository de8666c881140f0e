"""Samples of stacks into shares of steps."""

from __future__ import annotations

import pytest

from benchmarks.profiles import shares, step_of, to_table

LOOP = "thread (1): MainThread;run (uvicorn/server.py:65)"
DEVICE = "thread (2): device;DeviceThread._work (service/runtime/device_thread.py:1)"


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        (f"{LOOP};explain (service/api/routes/explain.py:1)", "loop: route and framework"),
        (
            f"{LOOP};explain (service/api/routes/explain.py:1)"
            ";heatmap_png (service/imaging/render.py:9)",
            "loop: draw and encode the heatmap",
        ),
        (
            f"{LOOP};send (service/api/middleware/request_context.py:9)"
            ";RequestResponseCycle.send (x.py:1)",
            "loop: write the answer",
        ),
        (LOOP, "loop: the loop itself, its system calls"),
        (f"{DEVICE};Batcher.take (service/runtime/batcher.py:9)", "device: wait for a batch"),
        (f"{DEVICE};convolve (service/lrp/cpu/conv2d.py:3)", "device: convolutions"),
        (DEVICE, "device: the thread itself"),
    ],
)
def test_a_stack_belongs_to_the_innermost_step_that_it_is_in(stack: str, step: str) -> None:
    assert step_of(stack) == step


def test_shares_are_of_all_samples() -> None:
    text = f"{LOOP} 3\n{DEVICE} 1\n"
    assert shares(text) == {
        "loop: the loop itself, its system calls": 0.75,
        "device: the thread itself": 0.25,
    }


def test_the_table_has_a_row_for_each_step_that_was_seen_anywhere() -> None:
    table = to_table([("before", shares(f"{LOOP} 1")), ("after", shares(f"{DEVICE} 1"))])
    assert table.row_count == 2
    assert [list(column.cells) for column in table.columns[1:]] == [
        ["100.0%", "0.0%"],
        ["0.0%", "100.0%"],
    ]
