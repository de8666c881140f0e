"""The training loop, from a recipe and a data set to a bundle."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.models.architectures import build
from service.models.bundles import write_bundle
from service.models.card import ModelCard
from service.models.measures import MAX_CONFUSED, Confusion, accuracy_of
from training.augment import augment, choose_half, network_input
from training.average import measure_statistics, update_average
from training.checkpoints import (
    Checkpoint,
    CheckpointError,
    read_last_checkpoint,
    write_checkpoint,
)
from training.config import Recipe
from training.curves import draw_curves
from training.data import DataSet, Split, channel_statistics, hold_out
from training.evaluate import count_confusion
from training.hardware import autocast_dtype
from training.measure import loss_and_accuracy, predict_logits
from training.network import initialize, set_training
from training.optim import make_optimizers, rate_factor
from training.progress import Record, make_progress
from training.provenance import make_provenance, to_epoch
from training.replicas import Replicas, count_replicas

CHECKPOINT_S = 300.0  # an epoch of a large network may take longer than one wants to lose


class Trainer:
    """A training run: network, optimizers and data on one device.

    The whole training set is on the device, as uint8. Random numbers of a step depend on the seed
    and the number of the step only, so a resumed run continues bit for bit (on the same device,
    with the same number of threads).

    Parameters
    ----------
    recipe : Recipe
        How to train.
    data : DataSet
        Its training split is split into training and validation; its test split is not used before
        `finish`.
    device : torch.device
        Device of network and data.
    seed : int
        Seed of weights, split and augmentation.
    architecture : str
        A key of `ARCHITECTURES`.
    split_seed : int, optional
        Seed of the split, for networks that differ in all but their images; `seed` by default.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: DataSet,
        device: torch.device,
        seed: int,
        architecture: str = "minivgg",
        split_seed: int | None = None,
    ) -> None:
        self.recipe, self.data, self.device, self.seed = recipe, data, device, seed
        self.architecture = architecture
        split_seed = seed if split_seed is None else split_seed
        train, validation = hold_out(data.train, recipe.validation_images, split_seed)
        self.mean, self.std = channel_statistics(train)
        self.train, self.validation = train.to(device), validation.to(device)
        self._first_mirrored = choose_half(len(train), seed).to(device)
        torch.manual_seed(seed)
        model = build(architecture, len(data.class_names)).to(device)
        if recipe.initialization == "whitening":
            initialize(model, network_input(self.train.images[:2000], self.mean, self.std))
        self.model = model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        has_dropout = recipe.feature_dropout or recipe.classifier_dropout
        n_replicas = 1 if has_dropout else count_replicas(device, recipe.batch_size)
        self.replicas = Replicas(self.model, n_replicas)
        self.optimizers = make_optimizers(self.model, recipe, self.replicas.map)
        self._highest_rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.dtype = autocast_dtype(device)
        self.history: list[Record] = []
        self.step = self.saved_step = 0
        self._loss_sum = self._seconds = 0.0

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches; the images that are left out differ from epoch to epoch."""
        return max(1, len(self.train) // self.recipe.batch_size)

    @property
    def n_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def result(self) -> nn.Module:
        """The trained network: the moving average if the recipe has one."""
        return self.average if self.recipe.average_decay else self.model

    def fit(self, run: Path, minutes: float = math.inf) -> bool:
        """Train the remaining epochs; write history and curves after each.

        Parameters
        ----------
        run : Path
            Folder of the run. A checkpoint is written to it after each epoch, and after each
            `CHECKPOINT_S` within one.
        minutes : float
            Stop after so many, with a checkpoint.

        Returns
        -------
        bool
            Whether all epochs are done.
        """
        epochs, stop_at = self.recipe.epochs, time.monotonic() + 60 * minutes
        with make_progress(epochs, self.steps_per_epoch, self.step) as progress:
            while self.epoch < epochs:
                with self.replicas.own_threads():
                    is_complete = self._train_epoch(run, progress.step, stop_at)
                if not is_complete:
                    return False
                self._finish_epoch()
                self._save(run)
                self._write_history(run)
                progress.epoch(self.history[-1])
        return True

    def resume(self, run: Path) -> None:
        """Continue from the newest checkpoint of a run.

        Raises
        ------
        CheckpointError
            There is none, or it is of another recipe, seed or number of classes.
        """
        checkpoint = read_last_checkpoint(run, self.device)
        own = (asdict(self.recipe), self.seed, self.architecture)
        if (checkpoint.recipe, checkpoint.seed, checkpoint.architecture) != own:
            raise CheckpointError(
                f"the checkpoint in {run} is of another recipe or seed, or another architecture"
            )
        try:
            self.model.load_state_dict(checkpoint.model)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint in {run} is of data of other classes") from error
        self.average.load_state_dict(checkpoint.average)
        for optimizer, state in zip(self.optimizers, checkpoint.optimizers, strict=True):
            optimizer.load_state_dict(state)
        self.history = checkpoint.history
        self.step = self.saved_step = checkpoint.step
        self._loss_sum, self._seconds = checkpoint.loss_sum, checkpoint.seconds

    def finish(self, folder: Path, name: str, description: str) -> ModelCard:
        """Evaluate the result on validation and, only once, on test; write the bundle."""
        splits = {"validation": self.validation, "test": self.data.test.to(self.device)}
        confusion = {name: self._confusion(split) for name, split in splits.items()}
        is_kept = len(self.data.class_names) <= MAX_CONFUSED
        card = ModelCard(
            name=name,
            architecture=self.architecture,
            labels=self.data.class_names,
            input_size=(self.train.images.shape[2], self.train.images.shape[3]),
            mean=self.mean,
            std=self.std,
            accuracy={split: accuracy_of(matrix) for split, matrix in confusion.items()},
            confusion=confusion if is_kept else {},
            history=tuple(to_epoch(record) for record in self.history),
            provenance=make_provenance(
                self.recipe, self.seed, self.device, self.history, description
            ),
            sha256="0" * 64,  # write_bundle puts the weights' own here
        )
        return write_bundle(folder, card, self.result)

    def _confusion(self, split: Split) -> Confusion:
        predicted = predict_logits(self.result, split, self.mean, self.std).argmax(1)
        counts = count_confusion(predicted, split.labels, len(self.data.class_names))
        return tuple(map(tuple, counts.tolist()))

    def _train_epoch(self, run: Path, on_step: Callable[[float], None], stop_at: float) -> bool:
        """Train the remaining steps of an epoch; return whether it was not stopped before."""
        order = self._shuffled()
        for model in self.replicas.models:
            set_training(model, self.recipe)
        saved_at = time.monotonic()
        for step in range(self.step - self.epoch * self.steps_per_epoch, self.steps_per_epoch):
            start = time.monotonic()
            is_late = start >= stop_at
            if is_late or start - saved_at >= CHECKPOINT_S:
                self._save(run)
                saved_at = start
            if is_late:
                return False
            batch_size = self.recipe.batch_size
            loss = float(self._train_step(order[step * batch_size : (step + 1) * batch_size]))
            self._loss_sum += loss
            self._seconds += time.monotonic() - start
            on_step(loss)
        return True

    def _shuffled(self) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(len(self.train), generator=generator, device=self.device)

    def _train_step(self, indices: Tensor) -> Tensor:
        self.step += 1
        batch = self.train.subset(indices)
        self._set_rates()
        step_seed = self.seed * 1_000_003 + self.step
        torch.manual_seed(step_seed)  # dropout draws from the global generator
        generator = torch.Generator(self.device).manual_seed(step_seed)
        mirrored = None
        if self.recipe.alternating_flip:
            mirrored = self._first_mirrored[indices] ^ (self.epoch % 2 == 1)
        augmented = augment(batch.images, self.recipe, generator, mirrored)
        images = network_input(augmented, self.mean, self.std)
        loss = self.replicas.backward(self._loss, images, batch.labels)
        for optimizer in self.optimizers:
            optimizer.step()
        if self.recipe.average_decay:
            # soon forgets the initial weights
            decay = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
            update_average(self.average, self.model, decay)
        return loss

    def _loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        enabled = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled):
            logits = model(images)
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)

    def _set_rates(self) -> None:
        factor = rate_factor(self.recipe, self.step / self.n_steps)
        for optimizer, rates in zip(self.optimizers, self._highest_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def _finish_epoch(self) -> None:
        if self.recipe.average_decay:
            measure_statistics(self.average, self.train, self.mean, self.std)
        logits = predict_logits(self.result, self.validation, self.mean, self.std)
        loss, accuracy = loss_and_accuracy(logits, self.validation.labels)
        record = {
            "epoch": self.epoch + 1,
            "training_loss": self._loss_sum / self.steps_per_epoch,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
            "seconds": self._seconds,
            "images_per_s": self.steps_per_epoch * self.recipe.batch_size / self._seconds,
        }
        self.history.append(record)
        self._loss_sum, self._seconds = 0.0, 0.0

    def _save(self, run: Path) -> None:
        checkpoint = Checkpoint(
            step=self.step,
            loss_sum=self._loss_sum,
            seconds=self._seconds,
            recipe=asdict(self.recipe),
            architecture=self.architecture,
            seed=self.seed,
            model=self.model.state_dict(),
            average=self.average.state_dict(),
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
            history=self.history,
        )
        write_checkpoint(run, checkpoint)
        self.saved_step = self.step

    def _write_history(self, run: Path) -> None:
        (run / "history.json").write_text(json.dumps(self.history, indent=1) + "\n")
        draw_curves(self.history, run / "curves.png")
