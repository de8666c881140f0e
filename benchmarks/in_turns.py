"""The engine beside zennit on one device: milliseconds of a call, measured in turns."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases import DEFAULT, Call, make_case
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.selftest import difference
from service.methods import make_method
from service.models.architectures import build
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

BATCH_SIZES = (1, 8, 64, 256, 1024)
GRAPH_LIMIT = 1e-5  # of the largest relevance of an image: how far a replay may be from the twin
_MIN_TURNS, _MAX_TURNS, _CASE_S = 3, 30, 6.0


@dataclass(frozen=True)
class Timing:
    """The times of a network at a batch size; None for what could not be measured.

    Attributes
    ----------
    zennit_ms, canonized_ms, twin_ms, graph_ms : float or None
        Medians: zennit on the network as it is, zennit on the canonized network, the engine's twin,
        and the twin replayed as a CUDA graph.
    ratio, quartiles
        zennit's time over the twin's.
    graph_difference : float or None
        Of the replay from the twin, relative to the largest relevance.
    note : str
        Why something could not be measured.
    """

    network: str
    batch: int
    n: int = 0
    zennit_ms: float | None = None
    canonized_ms: float | None = None
    twin_ms: float | None = None
    graph_ms: float | None = None
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None
    graph_difference: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def networks() -> dict[str, tuple[nn.Module, int]]:
    """The networks that are timed, with the side of their input in pixels."""
    torch.manual_seed(0)
    shipped = read_bundle(find_bundle(DEFAULT_MODEL)).model
    resnet = build("resnet50", 1000).eval().requires_grad_(False)
    return {"minivgg": (shipped, 32), "resnet50": (resnet, 224)}


def time_networks(
    device: torch.device, batch_sizes: Sequence[int], ends_at_s: float
) -> Iterator[Timing]:
    """Time every network at every batch size, until the clock (`perf_counter`) says `ends_at_s`."""
    for name, (model, side) in networks().items():
        for batch in batch_sizes:
            if time.perf_counter() > ends_at_s:
                yield Timing(name, batch, note="not run: out of time")
                continue
            try:
                yield _time_case(name, model, side, batch, device)
            except torch.OutOfMemoryError:
                yield Timing(name, batch, note="out of memory")
            if device.type == "cuda":
                torch.cuda.empty_cache()


def _time_case(name: str, model: nn.Module, side: int, batch: int, device: torch.device) -> Timing:
    images = torch.randn(batch, 3, side, side, device=device)
    case = make_case(copy.deepcopy(model).to(device), images, DEFAULT)
    graph, graph_difference, note = capture_graph(model, images, device)
    calls = [case.naive, case.oracle, case.twin, *([graph] if graph else [])]
    zennit, canonized, twin, *replay = time_in_turns(calls, device)
    ratios = [slow / fast for slow, fast in zip(zennit, twin, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return Timing(
        name, batch, len(twin), median(zennit), median(canonized), median(twin),
        median(replay[0]) if replay else None, median(ratios), (low, high), graph_difference, note,
    )  # fmt: skip


def capture_graph(
    model: nn.Module, images: Tensor, device: torch.device
) -> tuple[Call | None, float | None, str]:
    """Record the default method as a CUDA graph, and compare its replay with the twin."""
    if device.type != "cuda":
        return None, None, "no CUDA graph on this device"
    try:
        replay, result, eager = _record(model, images, device)
    except torch.OutOfMemoryError:
        return None, None, "out of memory while the CUDA graph was captured"
    except RuntimeError as error:
        with suppress(RuntimeError):  # what the failed capture left behind
            torch.cuda.synchronize()
        return None, None, f"no CUDA graph: {error}".splitlines()[0]
    replay()
    torch.cuda.synchronize()
    return replay, difference(result, eager), ""


def _record(model: nn.Module, images: Tensor, device: torch.device) -> tuple[Call, Tensor, Tensor]:
    """A replay, the tensor that it writes relevance to, and the relevance of the twin."""
    method = make_method(DEFAULT, "gradient", {})
    explainer = Explainer(copy.deepcopy(model).to(device))
    gradient = explainer.prepare(method).gradient
    starts = [OutputRelevance.predicted(len(images), device)]
    stabilizers = images.new_tensor([method.stabilizers])

    def attribute() -> Tensor:
        return gradient.attribute(images, starts, stabilizers).relevances[0]

    side_stream = torch.cuda.Stream()  # a capture needs its kernels chosen before, on a side stream
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        eager = attribute().clone()
        attribute()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = attribute()
    return graph.replay, result, eager


def time_in_turns(calls: Sequence[Call], device: torch.device) -> list[list[float]]:
    """Milliseconds of each call, in turns; the first round is not counted."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        _time_ms(call, device)
    began = time.perf_counter()
    while not _is_enough(len(times[0]), time.perf_counter() - began):
        for row, call in zip(times, calls, strict=True):
            row.append(_time_ms(call, device))
    return times


def _is_enough(n: int, elapsed_s: float) -> bool:
    return n >= _MIN_TURNS and (n >= _MAX_TURNS or elapsed_s > _CASE_S)


def _time_ms(call: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return (time.perf_counter() - began) * 1e3
    started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    started.record()
    call()
    ended.record()
    torch.cuda.synchronize()
    return float(started.elapsed_time(ended))
