"""Reading and writing of bundles: folders with `model.safetensors` and `model.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from service.errors import BundleError
from service.files import read_file
from service.models.architectures import build_empty
from service.models.card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card, write_card
from service.models.weights import parse_safetensors

MAX_HEADER_BYTES = 2**24


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: the card and a network in evaluation mode, on the CPU, in float32."""

    card: ModelCard
    model: nn.Module


def write_bundle(folder: Path, card: ModelCard, model: nn.Module) -> ModelCard:
    """Write weights and card, with the `sha256` of the written weights in the card.

    Parameters
    ----------
    folder : Path
        Created if missing; the files of an earlier bundle are replaced.
    card : ModelCard
        All fields but `sha256`.
    model : nn.Module
        Its `state_dict` is written: floats as float32, integers (the batch counts of batch norms)
        unchanged.

    Returns
    -------
    ModelCard
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: _to_write(tensor) for name, tensor in model.state_dict().items()})
    written = card.model_copy(update={"sha256": hashlib.sha256(weights).hexdigest()})
    (folder / WEIGHTS_FILE).write_bytes(weights)
    write_card(folder, written)
    return written


def _to_write(tensor: Tensor) -> Tensor:
    """A contiguous copy: safetensors refuses tensors that share memory, as tied weights do."""
    wanted = tensor.detach().cpu()
    wanted = wanted.float() if wanted.is_floating_point() else wanted
    return wanted.clone(memory_format=torch.contiguous_format)


def read_bundle(
    folder: Path, allowed_modules: Sequence[str] = (), name: str | None = None
) -> Bundle:
    """Read a bundle; verify the hash of its weights and every shape. Nothing is unpickled.

    Parameters
    ----------
    folder : Path
        The bundle.
    allowed_modules : sequence of str
        Modules of user code that its architecture may name, as in `build`.
    name : str, optional
        As in `read_card`.

    Raises
    ------
    BundleError
        Something is missing, broken, or does not fit; the message says what.
    """
    card = read_card(folder, name)
    model = build_empty(card.architecture, len(card.labels), allowed_modules)
    weights = _read_weights(folder, card, model.state_dict())
    _check_shapes(folder, model.state_dict(), weights)
    model.load_state_dict(weights, assign=True)
    return Bundle(card, model.eval().requires_grad_(False))


def _read_weights(
    folder: Path, card: ModelCard, expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        content = read_file(path, MAX_HEADER_BYTES + sum(t.nbytes for t in expected.values()))
    except FileNotFoundError:
        raise BundleError(f"the bundle {folder} has no {WEIGHTS_FILE}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise BundleError(
            f"{path} is not the file that {CARD_FILE} describes: "
            f"its sha256 is {found[:12]}..., the card says {card.sha256[:12]}..."
        )
    return parse_safetensors(content, str(path))


def _check_shapes(folder: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or surplus:
        raise BundleError(
            f"the weights in {folder} do not fit the architecture: "
            f"missing {sorted(missing) or 'none'}, not known {sorted(surplus) or 'none'}"
        )
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise BundleError(
                f"the weights in {folder} do not fit the architecture: {name} is "
                f"{found[name].dtype} {tuple(found[name].shape)}, "
                f"expected {tensor.dtype} {tuple(tensor.shape)}"
            )
