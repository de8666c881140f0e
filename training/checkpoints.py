"""Checkpoints of a run, written atomically."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from service.errors import ServiceError

KEPT = 2  # the last one, and the one before in case the last is damaged


class CheckpointError(ServiceError):
    """The checkpoint is missing, or of another run."""

    type = "checkpoint-error"
    title = "The checkpoint cannot be used"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Attributes
    ----------
    step : int
        Number of finished steps, over all epochs.
    loss_sum, seconds : float
        Of the steps of the epoch in hand: sum of their losses, and time.
    recipe : dict
        The recipe's values; another recipe cannot continue the run.
    architecture : str
        Name of the network.
    seed : int
        Seed of the run.
    model, average : dict
        Weights, and their moving average.
    optimizers : list of dict
        A state for each optimizer, in the order of `make_optimizers`.
    history : list of dict
        A record for each finished epoch.
    """

    step: int
    loss_sum: float
    seconds: float
    recipe: dict[str, Any]
    architecture: str
    seed: int
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizers: list[dict[str, Any]]
    history: list[dict[str, float]]

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)


def open_run(run: Path, *, resume: bool) -> None:
    """Create the folder of a run; refuse to overwrite another run.

    Raises
    ------
    CheckpointError
        The folder cannot be created, holds a run without `resume`, or no run with it.
    """
    if resume and not _checkpoints(run):
        raise _no_checkpoint(run)
    if not resume and _checkpoints(run):
        raise CheckpointError(f"{run} holds a run already; add --resume, or choose another folder")
    folder = run / "checkpoints"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"the folder {folder} cannot be made: {error.strerror}") from error


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, and remove all but the last `KEPT`."""
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{checkpoint.step:07d}.pt"
    partial = path.with_suffix(".partial")
    torch.save(checkpoint.__dict__, partial)
    partial.replace(path)
    for old in _checkpoints(run)[:-KEPT]:
        old.unlink()
    return path


def read_last_checkpoint(run: Path, device: torch.device) -> Checkpoint:
    """Read the newest checkpoint of a run.

    Raises
    ------
    CheckpointError
        It is missing or cannot be read.
    """
    paths = _checkpoints(run)
    if not paths:
        raise _no_checkpoint(run)
    try:
        return Checkpoint(**torch.load(paths[-1], map_location=device, weights_only=True))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{paths[-1]} cannot be read ({reason}); remove it to resume from the one before"
        ) from error


def _no_checkpoint(run: Path) -> CheckpointError:
    return CheckpointError(f"{run} has no checkpoint to resume from; start without --resume")


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*.pt"))
