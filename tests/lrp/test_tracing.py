"""A network is traced while no other thread computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from service.lrp.network.canonize import canonize
from service.lrp.tracing import TRACING, TracingGate
from tests.helpers.conditions import wait_until

LIMIT_S = 10.0


def hold(gate_of: Callable[[], object]) -> tuple[threading.Thread, threading.Event]:
    """Enter a block of a gate on a thread, and stay until an event."""
    entered, leave = threading.Event(), threading.Event()

    def enter() -> None:
        with gate_of():  # type: ignore[attr-defined]
            entered.set()
            assert leave.wait(LIMIT_S)

    thread = threading.Thread(target=enter)
    thread.start()
    assert entered.wait(LIMIT_S)
    return thread, leave


def test_threads_compute_together() -> None:
    gate = TracingGate()
    held = [hold(gate.computing) for _ in range(2)]
    for thread, leave in held:
        leave.set()
        thread.join(LIMIT_S)


def test_a_trace_waits_for_computations_and_goes_before_later_ones() -> None:
    gate, order = TracingGate(), []

    def trace() -> None:
        with gate.tracing():
            order.append("trace")

    def compute() -> None:
        with gate.computing():
            order.append("compute")

    thread, leave = hold(gate.computing)
    with ThreadPoolExecutor(2) as pool:
        traced = pool.submit(trace)
        wait_until(lambda: gate._n_traces == 1)
        computed = pool.submit(compute)
        assert order == []
        leave.set()
        traced.result(LIMIT_S)
        computed.result(LIMIT_S)
    thread.join(LIMIT_S)
    assert order == ["trace", "compute"]


def test_a_network_is_traced_behind_the_gate() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    thread, leave = hold(TRACING.computing)
    with ThreadPoolExecutor(1) as pool:
        traced = pool.submit(canonize, network)
        wait_until(lambda: TRACING._n_traces == 1)
        network(torch.ones(1, 2))  # as a batch does
        assert not traced.done()
        leave.set()
        traced.result(LIMIT_S)
    thread.join(LIMIT_S)
