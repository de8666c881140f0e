"""The experiment: train, check the controls, score every method; for several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from service.runtime.engine import Engine
from training.ground_truth.networks import train_network
from training.ground_truth.planted import PLANTED
from training.ground_truth.scores import (
    GroundTruthError,
    Sizes,
    measure_methods,
    measure_planted,
)
from training.ground_truth.sheet import draw_sheet
from training.ground_truth.summary import summarize, write_summary
from training.ground_truth.variants import N_TRAIN

SCORES = "scores.json"
PLANTED_PREFIX = "planted-"
MIN_ACCURACY = 0.99


def run_experiment(
    out: Path,
    variants: Sequence[str],
    seeds: Sequence[int],
    sizes: Sizes,
    device: torch.device,
    say: Callable[[str], object],
    n_train: int = N_TRAIN,
    architecture: str = "minivgg",
) -> Path:
    """Run the experiment, or what is left of it.

    Parameters
    ----------
    out : Path
        Folder: `<variant>-<seed>/` has the bundle and the scores of a network, `ground-truth.json`
        the summary, `<variant>.png` examples.
    variants : sequence of str
        Keys of `VARIANTS`. The networks of `PLANTED` are always measured.
    seeds : sequence of int
        Of data and weights: a network for each.
    sizes : Sizes
        How many images are measured.
    device : torch.device
        Where networks are trained and explained.
    say : callable
        Called with a line for each network.
    n_train : int
        Images to train on.
    architecture : str
        Of the networks that are trained.

    Returns
    -------
    Path
        The summary.
    """
    runs = {
        variant: [
            _run(out, variant, seed, sizes, device, say, n_train, architecture) for seed in seeds
        ]
        for variant in variants
    }
    for name in PLANTED:
        say(f"planted network: {name}")
        runs[PLANTED_PREFIX + name] = [measure_planted(name, seed, sizes, device) for seed in seeds]
    return write_summary(summarize(runs, sizes, device), out)


def _run(
    out: Path,
    variant: str,
    seed: int,
    sizes: Sizes,
    device: torch.device,
    say: Callable[[str], object],
    n_train: int,
    architecture: str,
) -> dict[str, Any]:
    folder = out / f"{variant}-{seed}"
    bundle = train_network(variant, seed, folder, device, n_train, architecture)
    if bundle.card.architecture != architecture:
        raise GroundTruthError(
            f"{folder} has a {bundle.card.architecture}, not a {architecture}: give another folder "
            "as --out"
        )
    accuracy = bundle.card.accuracy["test"].accuracy
    engine = Engine(bundle, device)
    result = measure_methods(variant, engine, seed, sizes, folder / SCORES)
    if seed == 0:
        draw_sheet(variant, engine, seed, out / f"{variant}.png")
    engine.close()
    controls = ", ".join(f"{name} {share:.1%}" for name, share in result["controls"].items())
    say(f"{variant}, seed {seed}: accuracy {accuracy:.2%}; {controls}")
    if accuracy < MIN_ACCURACY:
        say(f"{variant}, seed {seed}: below {MIN_ACCURACY:.0%}: it may be right for other reasons")
    identity = {"seed": seed, "architecture": bundle.card.architecture}
    return {**identity, "accuracy": accuracy, **result}
