"""The training loop, from a recipe and a data set to a bundle."""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.models.architectures import build
from service.models.bundles import write_bundle
from service.models.card import ModelCard, Provenance
from service.models.measures import MAX_CONFUSED, Confusion, Epoch, accuracy_of
from training.augment import augment, network_input
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
from training.hardware import autocast_dtype, describe_hardware, library_versions
from training.measure import loss_and_accuracy, predict_logits
from training.optim import make_optimizers, rate_factor
from training.progress import Record, make_progress

ARCHITECTURE = "minivgg"


class Trainer:
    """A training run: network, optimizers and data on one device.

    The whole training set is on the device, as uint8. Random numbers of an epoch depend on the seed
    and the number of the epoch only, so a resumed run continues bit for bit (on the same device,
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
    """

    def __init__(self, recipe: Recipe, data: DataSet, device: torch.device, seed: int) -> None:
        self.recipe, self.data, self.device, self.seed = recipe, data, device, seed
        train, validation = hold_out(data.train, recipe.validation_images, seed)
        self.mean, self.std = channel_statistics(train)
        self.train, self.validation = train.to(device), validation.to(device)
        torch.manual_seed(seed)
        model = build(ARCHITECTURE, len(data.class_names)).to(device)
        self.model = model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizers = make_optimizers(self.model, recipe)
        self._highest_rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.dtype = autocast_dtype(device)
        self.history: list[Record] = []

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches; the images that are left out differ from epoch to epoch."""
        return max(1, len(self.train) // self.recipe.batch_size)

    @property
    def result(self) -> nn.Module:
        """The trained network: the moving average if the recipe has one."""
        return self.average if self.recipe.average_decay else self.model

    def fit(self, run: Path) -> None:
        """Train the remaining epochs; write checkpoint, history and curves after each."""
        epochs = self.recipe.epochs
        with make_progress(epochs, self.steps_per_epoch, self.epoch) as progress:
            while self.epoch < epochs:
                start = time.perf_counter()
                training_loss = self._train_epoch(progress.step)
                seconds = time.perf_counter() - start
                self.history.append(self._measure_epoch(training_loss, seconds))
                self._save(run)
                progress.epoch(self.history[-1])

    def resume(self, run: Path) -> None:
        """Continue from the newest checkpoint of a run.

        Raises
        ------
        CheckpointError
            There is none, or it is of another recipe, seed or number of classes.
        """
        checkpoint = read_last_checkpoint(run, self.device)
        if (checkpoint.recipe, checkpoint.seed) != (asdict(self.recipe), self.seed):
            raise CheckpointError(f"the checkpoint in {run} is of another recipe or seed")
        try:
            self.model.load_state_dict(checkpoint.model)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint in {run} is of data of other classes") from error
        self.average.load_state_dict(checkpoint.average)
        for optimizer, state in zip(self.optimizers, checkpoint.optimizers, strict=True):
            optimizer.load_state_dict(state)
        self.history = checkpoint.history

    def finish(self, folder: Path, name: str, description: str) -> ModelCard:
        """Evaluate the result on validation and, only once, on test; write the bundle."""
        splits = {"validation": self.validation, "test": self.data.test.to(self.device)}
        confusion = {name: self._confusion(split) for name, split in splits.items()}
        is_kept = len(self.data.class_names) <= MAX_CONFUSED
        card = ModelCard(
            name=name,
            architecture=ARCHITECTURE,
            labels=self.data.class_names,
            input_size=(self.train.images.shape[2], self.train.images.shape[3]),
            mean=self.mean,
            std=self.std,
            accuracy={split: accuracy_of(matrix) for split, matrix in confusion.items()},
            confusion=confusion if is_kept else {},
            history=tuple(_to_epoch(record) for record in self.history),
            provenance=self._provenance(description),
            sha256="0" * 64,  # write_bundle puts the weights' own here
        )
        return write_bundle(folder, card, self.result)

    def _confusion(self, split: Split) -> Confusion:
        predicted = predict_logits(self.result, split, self.mean, self.std).argmax(1)
        counts = count_confusion(predicted, split.labels, len(self.data.class_names))
        return tuple(map(tuple, counts.tolist()))

    def _train_epoch(self, on_step: Callable[[float], None]) -> float:
        epoch_seed = self.seed * 1_000_003 + self.epoch
        torch.manual_seed(epoch_seed)  # dropout draws from the global generator
        generator = torch.Generator(self.device).manual_seed(epoch_seed)
        order = torch.randperm(len(self.train), generator=generator, device=self.device)
        _set_training(self.model, self.recipe)
        total = torch.zeros((), device=self.device)
        for step in range(self.steps_per_epoch):
            batch_size = self.recipe.batch_size
            batch = self.train.subset(order[step * batch_size : (step + 1) * batch_size])
            self._set_rates(self.epoch * self.steps_per_epoch + step + 1)
            loss = self._train_step(batch, generator)
            total += loss
            on_step(float(loss))
        return float(total) / self.steps_per_epoch

    def _train_step(self, batch: Split, generator: torch.Generator) -> Tensor:
        images = network_input(augment(batch.images, self.recipe, generator), self.mean, self.std)
        enabled = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled):
            logits = self.model(images)
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=smoothing)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self._update_average()
        return loss.detach()

    def _set_rates(self, step: int) -> None:
        factor = rate_factor(self.recipe, step / (self.recipe.epochs * self.steps_per_epoch))
        for optimizer, rates in zip(self.optimizers, self._highest_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.recipe.average_decay:
            average: list[Tensor] = list(self.average.parameters())
            current: list[Tensor] = list(self.model.parameters())
            torch._foreach_lerp_(average, current, 1 - self.recipe.average_decay)

    def _measure_epoch(self, training_loss: float, seconds: float) -> Record:
        logits = predict_logits(self.result, self.validation, self.mean, self.std)
        loss, accuracy = loss_and_accuracy(logits, self.validation.labels)
        return {
            "epoch": self.epoch + 1,
            "training_loss": training_loss,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
            "seconds": seconds,
            "images_per_s": self.steps_per_epoch * self.recipe.batch_size / seconds,
        }

    def _save(self, run: Path) -> None:
        checkpoint = Checkpoint(
            epoch=self.epoch,
            recipe=asdict(self.recipe),
            seed=self.seed,
            model=self.model.state_dict(),
            average=self.average.state_dict(),
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
            history=self.history,
        )
        write_checkpoint(run, checkpoint)
        (run / "history.json").write_text(json.dumps(self.history, indent=1) + "\n")
        draw_curves(self.history, run / "curves.png")

    def _provenance(self, description: str) -> Provenance:
        return Provenance(
            recipe=asdict(self.recipe),
            data=description,
            seed=self.seed,
            hardware=describe_hardware(self.device),
            versions=library_versions(),
            images_per_s=round(statistics.median(r["images_per_s"] for r in self.history), 1),
            trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


def _to_epoch(record: Record) -> Epoch:
    return Epoch.model_validate({name: record[name] for name in Epoch.model_fields})


def _set_training(model: nn.Module, recipe: Recipe) -> None:
    model.train()
    if not recipe.feature_dropout:
        for module in model.get_submodule("features").modules():
            if isinstance(module, nn.Dropout):
                module.eval()
