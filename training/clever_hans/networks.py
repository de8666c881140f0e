"""Training of the networks that are audited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from service.models.bundles import Bundle
from service.models.card import CARD_FILE
from service.runtime.device import open_device
from training.checkpoints import open_run
from training.clever_hans.planting import Plant, plant_training
from training.config import Recipe
from training.data import DataSet
from training.train import Trainer


def train_planted(
    data: DataSet,
    plants: Sequence[Plant],
    recipe: Recipe,
    seed: int,
    run: Path,
    begin: Bundle | None = None,
) -> Path:
    """Train a network on planted data, or go on with it; returns the bundle.

    Parameters
    ----------
    data : DataSet
        Without artefacts.
    plants : sequence of Plant
        What its training images get.
    recipe : Recipe
        How to train.
    seed : int
        Of weights, order, augmentation and planting.
    run : Path
        Folder of the run.
    begin : Bundle, optional
        A network whose weights it begins with; random ones by default.
    """
    bundle = run / "bundle"
    if (bundle / CARD_FILE).is_file():
        return bundle
    is_begun = any((run / "checkpoints").glob("*.pt"))
    open_run(run, resume=is_begun)
    trainer = Trainer(recipe, plant_training(data, plants, seed), open_device("auto"), seed)
    if begin is not None:
        for network in (trainer.model, trainer.average):
            network.load_state_dict(begin.model.state_dict())
    if is_begun:
        trainer.resume(run)
    trainer.fit(run)
    names = ", ".join(f"{one.artefact} on {data.class_names[one.label]}" for one in plants)
    trainer.finish(bundle, f"planted-{seed}", f"{data.description} with {names or 'no artefact'}")
    return bundle
