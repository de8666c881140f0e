"""Reading of weights without unpickling, and matching of them to a network."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from service.errors import BundleError, join_names
from service.models.weights_header import PREFIXES, WHAT_TO_SAVE

HELD_UNDER = ("state_dict", "model")  # in checkpoints, next to the optimizer and the epoch
SHOWN = 3


def parse_weights(content: bytes, name: str) -> dict[str, Tensor]:
    """Parse the content of a file of weights.

    Parameters
    ----------
    content : bytes
        A safetensors file, or a `state_dict` written by `torch.save`, which may be nested in a
        checkpoint under `state_dict` or `model`.
    name : str
        Name of the file: `.safetensors`, `.pt` or `.pth`.

    Raises
    ------
    BundleError
        It is none of these. Nothing that could run code is unpickled.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".safetensors":
        return parse_safetensors(content, name)
    if suffix not in (".pt", ".pth"):
        raise BundleError(f"{name} has to be a .safetensors, .pt or .pth file; {WHAT_TO_SAVE}")
    try:
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may raise anything
        raise BundleError(
            f"{name} is broken, or holds more than weights, which could run code: {WHAT_TO_SAVE}"
        ) from error
    return _state_dict(saved, name)


def parse_safetensors(content: bytes, name: str) -> dict[str, Tensor]:
    """Parse the content of a safetensors file.

    Raises
    ------
    BundleError
        It is no such file, or has tensors of a type that torch does not have.
    """
    try:
        return load(content)
    except SafetensorError as error:
        raise BundleError(f"{name} is not a safetensors file: {error}") from error
    except KeyError as error:  # of safetensors' table of torch's types
        raise BundleError(
            f"{name} has tensors of the type {error.args[0]}, which torch cannot compute with: "
            "save them as F32, F16 or BF16"
        ) from error


def _state_dict(saved: Any, name: str) -> dict[str, Tensor]:
    """The `state_dict` in a saved object."""
    if isinstance(saved, Mapping):
        held = [saved[key] for key in HELD_UNDER if isinstance(saved.get(key), Mapping)]
        saved = held[0] if held else saved
    if not isinstance(saved, Mapping) or not saved:
        raise BundleError(f"{name} holds no state_dict: {WHAT_TO_SAVE}")
    for key, value in saved.items():
        if not isinstance(key, str) or not _is_plain(value):
            raise BundleError(f"{name} holds {key!r}, which is no plain tensor: {WHAT_TO_SAVE}")
    return dict(saved)


def _is_plain(value: Any) -> bool:
    """Whether it is a dense tensor, not quantized, with storage."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
    )


def fit_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    """Rename and convert weights to fit a network.

    Parameters
    ----------
    found : mapping of str to Tensor
        Weights of any floating dtype, with or without the prefix of a wrapper in their names.
    expected : mapping of str to Tensor
        The `state_dict` of the network, with or without storage.
    what : str
        Beginning of the message: "the weights in a.pt do not fit resnet18 with 10 classes".

    Raises
    ------
    BundleError
        Names or shapes differ, or values are not finite; says how many, and names some.
    """
    weights = _without_prefix(found, expected)
    for name, tensor in expected.items():
        if name.endswith(".num_batches_tracked"):  # files of 2018 have none; only training needs it
            weights.setdefault(name, torch.zeros_like(tensor, device="cpu"))
    misfits = _misfits(weights, expected)
    if misfits:
        raise BundleError(f"{what}: {'; '.join(misfits)}")
    weights = {
        name: weights[name].to(tensor.dtype) if tensor.is_floating_point() else weights[name]
        for name, tensor in expected.items()
    }
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise BundleError(f"{what}: {_count(broken, 'with values that are not finite')}")
    return weights


def _without_prefix(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found) and not any(
            name.startswith(prefix) for name in expected
        ):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return dict(found)


def _misfits(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    both = [name for name in expected if name in found]
    shapes = [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in both
        if found[name].shape != expected[name].shape
    ]
    types = [
        f"{name} is {found[name].dtype}, expected {expected[name].dtype}"
        for name in both
        if not _can_be(found[name], expected[name].dtype)
    ]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "not known": [name for name in found if name not in expected],
        "of another shape": shapes,
        "of another type": types,
    }
    return [_count(names, kind) for kind, names in kinds.items() if names]


def _can_be(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.dtype == dtype or (tensor.is_floating_point() and dtype.is_floating_point)


def _count(names: Sequence[str], kind: str) -> str:
    return f"{len(names)} {kind} ({join_names(names, SHOWN)})"
