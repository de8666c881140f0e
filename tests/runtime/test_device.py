"""Opening a device: it is there, or one sentence says that it is not."""

from __future__ import annotations

import pytest
import torch

from service.errors import BundleError
from service.runtime.device import describe_device, open_device, usable_threads


def test_auto_is_the_gpu_if_there_is_one_else_the_cpu() -> None:
    assert open_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu9000", "", "cuda:99", "cpu:x", "cpu cpu"])
def test_a_device_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(BundleError, match=f"the device {name!r} cannot be used; give `auto`"):
        open_device(name)


@pytest.mark.parametrize("name", ["meta", "mps", "xpu", "vulkan", "fpga", "privateuseone"])
def test_a_device_that_can_compute_nothing_here_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="cannot be used"):
        open_device(name)


def test_an_opened_device_computes_in_full_float32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    open_device("cpu")
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_a_description_is_for_people() -> None:
    assert describe_device(torch.device("cpu")) == f"cpu ({usable_threads()} threads)"
    assert describe_device(torch.device("cpu"), 3) == "cpu (3 threads)"
