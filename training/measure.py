"""Predictions, loss and accuracy of a network on a split, in float32 as it is served."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.augment import network_input
from training.data import Split

BATCH_SIZE = 500  # divides the usual sizes of splits; 20 MB of activations on MiniVGG


@torch.no_grad()
def predict_logits(
    model: nn.Module, split: Split, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Compute the logits of all images of a split, shape (N, num_classes), in evaluation mode."""
    was_training = model.training
    model.eval()
    batches = split.images.split(BATCH_SIZE)
    logits = torch.cat([model(network_input(images, mean, std)) for images in batches])
    model.train(was_training)
    return logits


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross entropy, and the share of right predictions."""
    loss = functional.cross_entropy(logits, labels)
    return float(loss), float((logits.argmax(1) == labels).double().mean())
