"""Between host and device: what goes in comes out, in one copy each way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from service.runtime import transfer
from service.runtime.transfer import pack, to_device, to_device_at_once, to_host, unpack

CPU, META = torch.device("cpu"), torch.device("meta")
SHAPES = [(0,), (1,), (3, 0, 2), (2, 3, 4, 5)]


def values(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


class Far(Tensor):
    """A tensor that says it is on another device."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # an attribute of Tensor
        """A device that is not the host."""
        return META


@pytest.fixture(params=[Tensor, Far], ids=["on_the_host", "elsewhere"])
def place(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    """Puts a tensor on the host, or on what passes for another device."""
    kind: type[Tensor] = request.param
    return lambda tensor: tensor.as_subclass(kind)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
def test_an_array_arrives_with_its_shape_type_and_values(
    shape: tuple[int, ...], dtype: str
) -> None:
    array = values(shape, dtype)
    found = to_device(array, CPU)
    np.testing.assert_array_equal(found.numpy(), array, strict=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_an_array_arrives_on_the_device_that_is_named(shape: tuple[int, ...], dtype: str) -> None:
    found = to_device(values(shape, dtype), META)
    assert found.device == META
    assert tuple(found.shape) == shape
    assert found.dtype == torch.from_numpy(values((1,), dtype)).dtype


@pytest.mark.parametrize(
    "view",
    [
        values((4, 6), "int64").T,
        values((4, 6), "int64")[::-1],
        values((4, 6), "int64")[1:3, ::2],
        np.broadcast_to(values((1, 6), "int64"), (4, 6)).copy().swapaxes(0, 1),
    ],
    ids=["transposed", "reversed", "every_second", "swapped"],
)
def test_an_array_that_is_not_contiguous_arrives_as_it_looks(view: NDArray[np.int64]) -> None:
    found = to_device(view, CPU)
    assert found.is_contiguous()
    np.testing.assert_array_equal(found.numpy(), view, strict=True)


def test_an_array_goes_to_a_gpu_from_pinned_memory_without_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, Any, Any]] = []

    def pin_memory(tensor: Tensor) -> Tensor:
        calls.append(("pin_memory", (), {}))
        return tensor

    def to(tensor: Tensor, *args: Any, **options: Any) -> Tensor:
        calls.append(("to", args, options))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "to", to)
    gpu = torch.device("cuda", 0)
    to_device(values((2, 3), "uint8"), gpu)
    assert calls == [("pin_memory", (), {}), ("to", (gpu,), {"non_blocking": True})]


@given(
    arrays=st.lists(
        st.builds(
            values,
            st.sampled_from([(), (1,), (3, 1), (2, 3, 5)]),
            st.sampled_from(["uint8", "int64", "float32", "bool"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_arrays_that_were_packed_are_found_again(arrays: list[NDArray[Any]]) -> None:
    found = unpack(torch.from_numpy(pack(arrays)), arrays)
    for one, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one.numpy(), array, strict=True)


@pytest.mark.parametrize(("device", "n_copies"), [(CPU, 2), (torch.device("cuda", 0), 1)], ids=str)
def test_several_arrays_arrive_on_a_gpu_in_one_copy(
    device: torch.device, n_copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [values((3, 2), "int64"), values((2, 5, 3), "uint8")]
    copied: list[NDArray[Any]] = []

    def note(array: NDArray[Any], where: torch.device) -> Tensor:
        copied.append(array)
        return torch.from_numpy(array)

    monkeypatch.setattr(transfer, "to_device", note)
    found = to_device_at_once(arrays, device)
    assert len(copied) == n_copies
    for one, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one.numpy(), array, strict=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_round_trip_changes_nothing(
    shape: tuple[int, ...], place: Callable[[Tensor], Tensor]
) -> None:
    array = values(shape, "float32") * np.float32(0.1)
    (found,) = to_host(place(to_device(array, CPU)))
    np.testing.assert_array_equal(found, array, strict=True)


def test_several_tensors_come_back_in_their_order_and_shapes(
    place: Callable[[Tensor], Tensor],
) -> None:
    arrays = [values(shape, "float32") + n for n, shape in enumerate(SHAPES)]
    found = to_host(*(place(torch.from_numpy(array)) for array in arrays))
    assert len(found) == len(arrays)
    for one, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one, array, strict=True)


def test_a_single_number_comes_back_without_dimensions(place: Callable[[Tensor], Tensor]) -> None:
    found = to_host(place(torch.tensor(2.5)), place(torch.ones(2)))
    assert [one.tolist() for one in found] == [2.5, [1.0, 1.0]]


def test_several_tensors_come_back_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[tuple[int, ...]] = []
    copy_ = Tensor.copy_

    def note(host: Tensor, tensor: Tensor) -> Tensor:
        copied.append(tuple(tensor.shape))
        return copy_(host, tensor)

    monkeypatch.setattr(Tensor, "copy_", note)
    to_host(*(torch.ones(n, 2).as_subclass(Far) for n in range(1, 6)))
    assert set(copied) == {(2 * (1 + 2 + 3 + 4 + 5),)}  # all of it at once


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.int64, torch.bool, torch.uint8], ids=str
)
def test_all_types_come_back_as_float32(
    dtype: torch.dtype, place: Callable[[Tensor], Tensor]
) -> None:
    tensor = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    floats, found = to_host(place(torch.ones(3)), place(tensor))
    assert floats.dtype == found.dtype == np.float32
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@given(indices=st.lists(st.integers(-1, 2**24), min_size=1, max_size=20))
@pytest.mark.parametrize("kind", [Tensor, Far])
def test_indices_of_classes_come_back_exact(kind: type[Tensor], indices: list[int]) -> None:
    relevance = torch.full((2, 3), 1e30)
    found, _ = to_host(torch.tensor(indices).as_subclass(kind), relevance.as_subclass(kind))
    assert [int(index) for index in found] == indices


def test_tensors_that_are_not_contiguous_come_back_as_they_look(
    place: Callable[[Tensor], Tensor],
) -> None:
    whole = torch.arange(24.0).view(2, 3, 4)
    last = whole[None].contiguous(memory_format=torch.channels_last)
    views = [whole.permute(2, 0, 1), whole[:, ::2], whole[:1].expand(5, 3, 4), last]
    for found, view in zip(to_host(*(place(view) for view in views)), views, strict=True):
        assert found.tolist() == view.tolist()


def test_a_tensor_that_needs_a_gradient_comes_back_without_it(
    place: Callable[[Tensor], Tensor],
) -> None:
    tensor = torch.ones(2, requires_grad=True)
    (found,) = to_host(place(tensor * 3))
    assert found.tolist() == [3.0, 3.0]


def test_values_that_are_not_finite_come_back(place: Callable[[Tensor], Tensor]) -> None:
    (found,) = to_host(place(torch.tensor([float("nan"), float("inf"), -float("inf")])))
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf])
