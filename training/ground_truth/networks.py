"""Networks that are trained on the ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from service.models.bundles import Bundle, read_bundle
from service.models.card import CARD_FILE
from training.checkpoints import open_run
from training.ground_truth.recipe import GROUND_TRUTH
from training.ground_truth.variants import N_TRAIN, PAIRED, make_data
from training.train import Trainer

EPOCHS = {PAIRED: 6}  # half of its labels are a matter of chance; the others take the recipe's


def train_network(
    variant: str,
    seed: int,
    run: Path,
    device: torch.device,
    n_train: int = N_TRAIN,
    architecture: str = "minivgg",
) -> Bundle:
    """Train a network, or read it where that is done; goes on from its last checkpoint."""
    folder = run / "bundle"
    if not (folder / CARD_FILE).is_file():
        recipe = replace(GROUND_TRUTH, epochs=EPOCHS.get(variant, GROUND_TRUTH.epochs))
        trainer = Trainer(recipe, make_data(variant, seed, n_train), device, seed, architecture)
        if any((run / "checkpoints").glob("*.pt")):
            trainer.resume(run)
        else:
            open_run(run, resume=False)
        trainer.fit(run)
        trainer.finish(folder, f"ground-truth-{variant}-{seed}", trainer.data.description)
    return read_bundle(folder)
