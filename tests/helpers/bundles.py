"""Bundles of the shipped network with other weights, and their replacement."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import torch

from service.models.bundles import read_bundle, write_bundle
from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL


def write_variant(folder: Path, seed: int, name: str = DEFAULT_MODEL) -> ModelCard:
    """Write the shipped network with weights that differ a little, by a seed."""
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    model = copy.deepcopy(bundle.model)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(0.02 * parameter.std(correction=0) * noise)
    return write_bundle(folder, bundle.card.model_copy(update={"name": name}), model)


def replace_bundle(folder: Path, source: Path) -> None:
    """Replace a bundle by another in one step, as a deployment does."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.copytree(source, new)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
