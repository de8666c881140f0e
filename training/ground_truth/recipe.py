"""The recipe of the networks that are trained on the ground truth."""

from __future__ import annotations

from training.config import Recipe

GROUND_TRUTH = Recipe(
    name="ground-truth",
    optimizer="muon",  # needs the fewest epochs, as on CIFAR-10
    learning_rate=2e-3,
    muon_learning_rate=0.03,
    weight_decay=0.05,
    schedule="one_cycle",
    warmup=0.1,
    epochs=3,  # after the second, validation accuracy is 100%
    batch_size=128,
    flip=False,  # images are made, so that there are as many as are wanted
    crop_border=0,  # likewise
    label_smoothing=0.0,  # there is a right answer to every image
    feature_dropout=False,
    average_decay=0.98,  # about the last 50 steps, two thirds of an epoch
    validation_images=1000,
)
