"""Networks that know their training images by heart, with the true labels and with shuffled ones.

Adebayo et al. 2018, arXiv:1810.03292, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from service.errors import ServiceError
from service.models.bundles import Bundle, read_bundle
from service.models.card import CARD_FILE
from training.checkpoints import open_run
from training.config import RECIPES, Recipe
from training.data import DataError, DataSet, Split, hold_out
from training.measure import loss_and_accuracy, predict_logits
from training.train import Trainer

LEARNED = 0.95  # of the training images: Adebayo et al. ask for as much
N_HELD_OUT = 200
N_TEST = 1000

BY_HEART = replace(
    RECIPES["fast"],  # reaches a low loss in few steps
    name="by-heart",  # shuffled labels can only be learned by heart: nothing stands against it
    epochs=15,  # of 2,000 images: enough to know all of their shuffled labels
    batch_size=64,  # of few images, so that an epoch has steps enough
    initialization="default",  # `whitening` begins with the same first layer whatever the seed
    flip=False,
    alternating_flip=False,
    crop_border=0,
    weight_decay=0.0,
    average_decay=0.0,
    validation_images=N_HELD_OUT,
)


class LabelsError(ServiceError):
    """A network has not learned the labels that it was trained on."""

    type = "labels-error"
    title = "The network has not learned its labels"


@dataclass(frozen=True)
class Role:
    """A network of the comparison.

    Attributes
    ----------
    name : str
        Of its folder.
    is_shuffled : bool
        Whether its labels were shuffled.
    has_other_seed : bool
        Whether its weights, and the order of its images, have another seed than the others'.
    """

    name: str
    is_shuffled: bool = False
    has_other_seed: bool = False


TRUE, TWIN, SHUFFLED = ROLES = (
    Role("true"),
    Role("true-other-seed", has_other_seed=True),
    Role("shuffled", is_shuffled=True),
)


@dataclass(frozen=True)
class Trained:
    """A network, and its accuracy on the images that it was trained on, with their labels."""

    bundle: Bundle
    learned: float


def take_subset(data: DataSet, n: int, seed: int) -> DataSet:
    """Random images: `n` to train on, `N_HELD_OUT` besides, and at most `N_TEST` of the test.

    Raises
    ------
    DataError
        There are fewer training images.
    """
    n_all = n + N_HELD_OUT
    if n_all > len(data.train):
        raise DataError(f"{len(data.train)} training images are too few: {n_all} are needed")
    train, test = (
        split.subset(torch.randperm(len(split), generator=_generator(seed))[:count])
        for split, count in ((data.train, n_all), (data.test, N_TEST))
    )
    return replace(data, train=train, test=test)


def shuffle_labels(data: DataSet, seed: int) -> DataSet:
    """Shuffle the labels of the training images: as many of each class as before."""
    order = torch.randperm(len(data.train), generator=_generator(seed))
    return replace(data, train=replace(data.train, labels=data.train.labels[order]))


def train_networks(
    data: DataSet,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    out: Path,
    say: Callable[[str], object],
) -> dict[Role, Trained]:
    """Train each network of `ROLES`, or read it where that is done.

    Parameters
    ----------
    data : DataSet
        With true labels.
    recipe : Recipe
        How to train.
    seed : int
        Of weights, split and shuffled labels. All networks see the same images.
    device : torch.device
        Where.
    out : Path
        Has a folder for each network, which goes on from its last checkpoint.
    say : callable
        Told the accuracy of each.

    Raises
    ------
    LabelsError
        A network knows less than `LEARNED` of its labels.
    """
    trained = {}
    for role in ROLES:
        own = shuffle_labels(data, seed) if role.is_shuffled else data
        bundle = _train(own, role, recipe, seed, device, out / role.name)
        kept, _ = hold_out(own.train, recipe.validation_images, seed)
        learned = check_learned(bundle, kept, role.name)
        say(f"{role.name}: knows {learned:.1%} of its {len(kept):,} training images")
        trained[role] = Trained(bundle, learned)
    return trained


def check_learned(bundle: Bundle, split: Split, name: str) -> float:
    """The share of the labels that a network knows.

    Raises
    ------
    LabelsError
        It is less than `LEARNED`.
    """
    logits = predict_logits(bundle.model, split, bundle.card.mean, bundle.card.std)
    _, accuracy = loss_and_accuracy(logits, split.labels)
    if accuracy < LEARNED:
        raise LabelsError(
            f"the network {name} knows the labels of {accuracy:.1%} of its {len(split):,} training "
            f"images, and {LEARNED:.0%} are needed, as maps of a network that has learned nothing "
            "say nothing about labels: train it for more --epochs, in another --out"
        )
    return accuracy


def _train(
    data: DataSet, role: Role, recipe: Recipe, seed: int, device: torch.device, run: Path
) -> Bundle:
    folder = run / "bundle"
    if not (folder / CARD_FILE).is_file():
        is_begun = any((run / "checkpoints").glob("*.pt"))
        open_run(run, resume=is_begun)
        weights_seed = 2 * seed + role.has_other_seed  # no two runs share a network
        trainer = Trainer(recipe, data, device, weights_seed, split_seed=seed)
        if is_begun:
            trainer.resume(run)
        trainer.fit(run)
        labels = "shuffled labels" if role.is_shuffled else "true labels"
        trainer.finish(folder, f"labels-{role.name}", f"{data.description}, {labels}")
    return read_bundle(folder)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
