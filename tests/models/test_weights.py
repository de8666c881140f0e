"""Files of weights: read without running anything, and made to fit or refused."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor, nn

from service.errors import BundleError
from service.models.weights import fit_weights, parse_weights

WHAT = "the weights in a.pt do not fit small"
SAVE_THE_WEIGHTS = r"torch\.save\(model\.state_dict\(\)"


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


EXPECTED = small().state_dict()


def torch_bytes(saved: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(saved, buffer, **how)
    return buffer.getvalue()


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def fit(**changes: Tensor | None) -> dict[str, Tensor]:
    """The weights of the small network, but for what is changed or (None) left out."""
    named = {name.replace("_", ".", 1): tensor for name, tensor in changes.items()}
    given_weights = {**EXPECTED, **{n.removeprefix("n"): t for n, t in named.items()}}
    return fit_weights({k: t for k, t in given_weights.items() if t is not None}, EXPECTED, WHAT)


# Reading

FILES = {
    "w.safetensors": save(EXPECTED),
    "w.pt": torch_bytes(EXPECTED),
    "W.PTH": torch_bytes(EXPECTED),
    "old.pth": torch_bytes(EXPECTED, _use_new_zipfile_serialization=False),
    "state.pt": torch_bytes({"epoch": 3, "state_dict": EXPECTED, "optimizer": {"lr": 0.1}}),
    "model.pt": torch_bytes({"model": EXPECTED}),
}


@pytest.mark.parametrize("name", FILES)
def test_weights_are_read(name: str) -> None:
    found = parse_weights(FILES[name], name)
    assert_same({key: found[key] for key in EXPECTED}, EXPECTED)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("name", ["bomb.pt", "bomb.pth", "bomb.safetensors"])
@pytest.mark.parametrize("dump", [torch_bytes, pickle.dumps], ids=["torch", "pickle"])
def test_nothing_is_ever_run(tmp_path: Path, name: str, dump: Callable[[Any], bytes]) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(BundleError, match=r"bomb\."):
        parse_weights(dump({"state_dict": Bomb(trace)}), name)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (torch_bytes(small()), "whole.pt", SAVE_THE_WEIGHTS),
        (torch_bytes([1, 2]), "list.pt", "no state_dict.*" + SAVE_THE_WEIGHTS),
        (torch_bytes({}), "empty.pt", "no state_dict"),
        (torch_bytes({"state_dict": {}}), "empty.pt", "no state_dict"),
        (torch_bytes({"epoch": 3}), "epoch.pt", "'epoch', which is no plain tensor"),
        (torch_bytes({1: torch.zeros(1)}), "number.pt", "1, which is no plain tensor"),
        (torch_bytes({"a": torch.zeros(1, device="meta")}), "meta.pt", "'a', which is no plain"),
        (b"", "nothing.pt", "is broken"),
        (FILES["w.pt"][:2000], "cut.pt", "is broken"),
        (b"", "nothing.safetensors", "not a safetensors file"),
        (FILES["w.safetensors"][:-1], "cut.safetensors", "not a safetensors file"),
        (FILES["w.pt"], "weights.onnx", r"has to be a \.safetensors, \.pt or \.pth file"),
        (FILES["w.pt"], "weights", r"has to be a \.safetensors"),
    ],
)
def test_what_holds_no_weights_says_what_to_save(content: bytes, name: str, said: str) -> None:
    with pytest.raises(BundleError, match=said) as refused:
        parse_weights(content, name)
    assert refused.value.detail.startswith(name)
    assert "\n" not in refused.value.detail


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_sparse_tensors_are_refused() -> None:
    with pytest.raises(BundleError, match="'a', which is no plain tensor"):
        parse_weights(torch_bytes({"a": torch.eye(2).to_sparse()}), "sparse.pt")


@given(st.binary(max_size=200), st.sampled_from(["a.pt", "a.safetensors"]))
def test_any_bytes_are_weights_or_one_sentence(content: bytes, name: str) -> None:
    with pytest.raises(BundleError):
        parse_weights(content, name)


# Fitting


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off(prefix: str) -> None:
    found = {prefix + name: tensor for name, tensor in EXPECTED.items()}
    assert_same(fit_weights(found, EXPECTED, WHAT), EXPECTED)


def test_a_prefix_that_the_network_has_itself_stays() -> None:
    own = {f"module.{name}": tensor for name, tensor in EXPECTED.items()}
    assert_same(fit_weights(own, own, WHAT), own)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype: torch.dtype) -> None:
    found = {k: t.to(dtype) if t.is_floating_point() else t for k, t in EXPECTED.items()}
    expected = {k: t.float() if t.is_floating_point() else t for k, t in found.items()}
    assert_same(fit_weights(found, EXPECTED, WHAT), expected)


def test_files_from_before_batches_were_counted_fit() -> None:
    assert_same(fit(n1_num_batches_tracked=None), EXPECTED)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n0_weight": None}, r": 1 missing \(0\.weight\)$"),
        ({"n9_weight": torch.zeros(1)}, r": 1 not known \(9\.weight\)$"),
        (
            {"n3_weight": torch.zeros(5, 4)},
            r": 1 of another shape \(3\.weight is \(5, 4\), expected \(2, 4\)\)$",
        ),
        ({"n3_bias": torch.zeros(2, dtype=torch.int8)}, r"3\.bias is torch\.int8, expected"),
        ({"n1_num_batches_tracked": torch.tensor(1.0)}, "is torch.float32, expected torch.int64"),
        (
            {"n0_weight": None, "n0_bias": None, "n1_bias": None, "n3_bias": None},
            r"4 missing \(0\.weight, 0\.bias, 1\.bias, \.\.\.\)$",
        ),
        ({"n0_bias": None, "n9_bias": torch.zeros(1)}, r"1 missing \(.*; 1 not known \("),
        ({"n0_bias": torch.tensor([0, 1, float("nan"), 3])}, r"1 .*not finite \(0\.bias\)"),
        ({"n0_bias": torch.full((4,), torch.inf)}, "not finite"),
        ({"n0_bias": torch.full((4,), 1e300, dtype=torch.float64)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_counted_and_named(
    changes: dict[str, Tensor | None], said: str
) -> None:
    with pytest.raises(BundleError, match=said) as refused:
        fit(**changes)
    assert refused.value.detail.startswith(WHAT)
