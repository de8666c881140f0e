"""On a GPU: the relevance is that of the CPU, and nothing waits on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.passes import finish
from service.lrp.selftest import LIMITS, check, difference
from service.methods import COMPOSITES, Method, make_method
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.collate import collate, flatten_result, make_starts, split_result
from service.runtime.device import open_device
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation
from service.runtime.transfer import to_device, to_device_at_once, to_host
from service.settings import DEFAULT_MODEL
from tests.helpers.network_input import Pixels
from tests.lrp.networks import box, make_images

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]

SIDE = 16
NO_PROTOTYPE = "ignore:Synchronization debug mode is a prototype feature"  # torch says so itself
METHODS = [make_method(name, "gradient", {}) for name in COMPOSITES]
ATTRIBUTORS = [
    make_method("epsilon_plus_flat", "smooth_grad", {"n_samples": 3}),
    make_method(None, "integrated_gradients", {"n_steps": 4}),
    make_method(None, "occlusion", {"window": 8, "stride": 4}),
]


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The GPU, in full float32; what it is set to otherwise comes back."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    yield open_device("cuda")
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.fixture(params=LIMITS, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


def small_network() -> nn.Module:
    """Like MiniVGG: two convolutions and a max-pool, twice, and linear layers."""
    torch.manual_seed(0)
    sizes = [(3, 8), (8, 8), (8, 12), (12, 12)]
    blocks = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in sizes]
    convolutions = (*blocks[:2], nn.MaxPool2d(2), *blocks[2:], nn.MaxPool2d(2))
    head = (nn.Flatten(), nn.Linear(12 * 16, 24), nn.ReLU(), nn.Linear(24, 5))
    return nn.Sequential(*convolutions, *head).eval().requires_grad_(False)


def explainer_on(device: torch.device, dtype: torch.dtype) -> Explainer:
    low, high = (side.to(device) for side in box(dtype))
    return Explainer(small_network().to(device, dtype), (low, high))


def starts_on(device: torch.device) -> list[OutputRelevance]:
    """Two rounds for three images: predicted and given, with a contrast, from 1 and the logit."""
    rows = [([-1, 1, 2], [-1, 0, -1], [False, True, True]), ([3, -1, 4], [1, -1, 0], [False] * 3)]
    return [
        OutputRelevance(*(torch.tensor(column, device=device) for column in row)) for row in rows
    ]


def explain_on(device: torch.device, dtype: torch.dtype, method: Method) -> AttributionResult:
    images = make_images(3, SIDE, dtype).to(device)
    found = explainer_on(device, dtype).explain(images, starts_on(device), method)
    tensors = (found.logits, *found.relevances, *found.totals, *found.layer_sums)
    assert {tensor.device.type for tensor in tensors} == {device.type}
    return found


def apart(found: list[Tensor], wanted: list[Tensor]) -> float:
    pairs = zip(found, wanted, strict=True)
    return max(difference(one.cpu(), other) for one, other in pairs)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.composite)
def test_the_twin_equals_the_one_on_the_cpu(
    device: torch.device, dtype: torch.dtype, method: Method
) -> None:
    found, wanted = (explain_on(place, dtype, method) for place in (device, torch.device("cpu")))
    assert apart([found.logits], [wanted.logits]) <= LIMITS[dtype]
    assert apart(found.relevances, wanted.relevances) <= LIMITS[dtype]
    if method.conserves:
        assert apart(found.layer_sums, wanted.layer_sums) <= LIMITS[dtype]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.composite)
def test_the_twin_equals_zennit_on_the_same_device(
    device: torch.device, dtype: torch.dtype, method: Method
) -> None:
    images = make_images(3, SIDE, dtype).to(device)
    assert check(explainer_on(device, dtype), images, method).passed


@pytest.mark.parametrize("method", ATTRIBUTORS, ids=lambda method: method.attributor)
def test_an_attributor_equals_the_one_on_the_cpu(
    device: torch.device, dtype: torch.dtype, method: Method
) -> None:
    found, wanted = (explain_on(place, dtype, method) for place in (device, torch.device("cpu")))
    assert apart(found.relevances, wanted.relevances) <= LIMITS[dtype]
    totals = zip(found.totals, wanted.totals, strict=True)
    for one, other in totals:
        torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5)


def pixels(n: int) -> list[Pixels]:
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8))


def make_jobs(method: Method) -> list[ExplainJob]:
    first, second = pixels(2)
    return [
        ExplainJob(first, DEFAULT_MODEL, method, (None, 3)),
        ExplainJob(second, DEFAULT_MODEL, method, (1,), contrast=2, start="logit"),
    ]


def shipped_engine(device: torch.device) -> Engine:
    return Engine(read_bundle(find_bundle(DEFAULT_MODEL)), device)


def test_an_engine_starts_and_answers_as_on_the_cpu(device: torch.device) -> None:
    engine, wanted = shipped_engine(device), shipped_engine(torch.device("cpu"))
    engine.warm_up()
    jobs = make_jobs(Method())
    for one, other in zip(engine.explain(jobs), wanted.explain(jobs), strict=True):
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-3)
        for found, right in zip(one.attributions, other.attributions, strict=True):
            assert found.target == right.target
            limit = 1e-4 * np.abs(right.relevance).max()
            np.testing.assert_allclose(found.relevance, right.relevance, rtol=0, atol=limit)


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Make it an error to wait for the GPU."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize(device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings(NO_PROTOTYPE)
def test_waiting_would_be_noticed(device: torch.device) -> None:
    number = torch.ones(1, device=device)
    with no_waiting(device), pytest.raises(RuntimeError, match="synchroniz"):
        number.item()


@pytest.mark.filterwarnings(NO_PROTOTYPE)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.composite)
def test_nothing_waits_between_the_copy_in_and_the_copy_out(
    device: torch.device, method: Method
) -> None:
    engine, jobs = shipped_engine(device), make_jobs(method)
    wanted = engine.explain(jobs)  # the twin is made, and kernels are chosen
    prepared = engine.explainer.prepare(method)
    with no_waiting(device):
        rows, stabilizers, pixels = to_device_at_once(collate(jobs, prepared.default_start), device)
        images, starts = engine._normalize(pixels), make_starts(rows)
        passes = engine.explainer.explain_in_passes(
            prepared, images, starts, method, stabilizers.to(images)
        )
        columns = flatten_result(finish(passes))
    for one, other in zip(split_result(jobs, columns, prepared), wanted, strict=True):
        assert isinstance(one, Explanation)
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_a_round_trip_through_the_gpu_changes_nothing(device: torch.device, dtype: str) -> None:
    arrays = [np.arange(24).reshape(2, 3, 4).astype(dtype), np.arange(5).astype(dtype)[::-1]]
    there = [to_device(array, device) for array in arrays]
    assert {tensor.device.type for tensor in there} == {device.type}
    for one, array in zip(to_host(*there), arrays, strict=True):
        np.testing.assert_array_equal(one, array.astype("float32"), strict=True)


@pytest.mark.filterwarnings(NO_PROTOTYPE)
def test_an_array_goes_in_without_waiting(device: torch.device) -> None:
    array = np.arange(1 << 16, dtype=np.int64)
    to_device(array, device)
    with no_waiting(device):
        found = to_device(array, device)
    np.testing.assert_array_equal(found.cpu().numpy(), array)


def test_several_tensors_come_out_in_one_copy(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[Tensor] = []
    to_cpu = Tensor.cpu

    def cpu(tensor: Tensor) -> Tensor:
        copies.append(tensor)
        return to_cpu(tensor)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    found = to_host(torch.arange(3, device=device), torch.ones(2, 2, device=device))
    assert [one.tolist() for one in found] == [[0.0, 1.0, 2.0], [[1.0, 1.0], [1.0, 1.0]]]
    assert len(copies) == 1
