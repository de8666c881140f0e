"""Training recipes, with the reason for each value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """How to train a network; all rates are per step, all sizes in images or pixels.

    Attributes
    ----------
    name : str
        The key in `RECIPES`.
    optimizer : {"adam", "muon"}
        `adam` trains all; `muon` trains the weight matrices (Jordan et al. 2024), AdamW the rest.
    learning_rate : float
        Highest rate of Adam or AdamW.
    muon_learning_rate : float
        Highest rate of Muon: the size of an orthogonal update.
    weight_decay : float
        Decoupled, on weights only, never on biases.
    schedule : {"constant", "one_cycle"}
        `one_cycle` rises linearly over `warmup` of all steps and falls linearly to 0.
    warmup : float
        Share of the steps, 0 to 1.
    epochs, batch_size : int
        Length of the run, and images per step.
    flip : bool
        Mirror half of the images.
    crop_border : int
        Pixels of reflected border to crop from; 0 for none.
    label_smoothing : float
        Share of the target spread over all classes.
    feature_dropout : bool
        Whether dropout layers behind convolutions are active while training.
    average_decay : float
        Decay per step of the weights' moving average, which becomes the result; 0 for none.
    validation_images : int
        Held out from the training set, to choose by; the test set is touched once, at the end.
    classifier_dropout : bool
        Whether dropout layers behind linear layers are active while training.
    initialization : {"default", "whitening"}
        `default` is torch's; `whitening` is orthogonal, and the first layer whitens patches.
    alternating_flip : bool
        Mirror each image in every second epoch, in place of at random (Jordan 2024).
    second_moment_decay : float
        Adam's and AdamW's beta2.
    """

    name: str
    optimizer: Literal["adam", "muon"]
    learning_rate: float
    muon_learning_rate: float
    weight_decay: float
    schedule: Literal["constant", "one_cycle"]
    warmup: float
    epochs: int
    batch_size: int
    flip: bool
    crop_border: int
    label_smoothing: float
    feature_dropout: bool
    average_decay: float
    validation_images: int
    classifier_dropout: bool = True
    initialization: Literal["default", "whitening"] = "default"
    alternating_flip: bool = False
    second_moment_decay: float = 0.999


TUTORIAL = Recipe(
    name="tutorial",
    optimizer="adam",  # the tutorial's
    learning_rate=4e-4,  # the tutorial's
    muon_learning_rate=0.0,  # not used by adam
    weight_decay=0.0,  # the tutorial has none
    schedule="constant",  # the tutorial has none
    warmup=0.0,  # likewise
    epochs=14,  # the tutorial's
    batch_size=64,  # the usual one; the fastest on a CPU, as its activations stay in the cache
    flip=True,  # the only augmentation allowed in this recipe
    crop_border=0,  # no more than a flip
    label_smoothing=0.0,  # plain cross entropy
    feature_dropout=True,  # the network as it is
    average_decay=0.0,  # the last epoch's weights are the result
    validation_images=5000,  # a tenth: its accuracy has a standard error of about 0.5 points
)

STRONG = Recipe(
    name="strong",
    optimizer="muon",  # after 2 epochs 73.9% on validation, where AdamW at 1.5e-3 has 63.2%
    learning_rate=2e-3,  # AdamW's, for biases, the first convolution and the last layer
    muon_learning_rate=0.03,  # 0.02 to 0.05 is the range in use on CIFAR-10
    weight_decay=0.05,  # AdamW's usual order; with Muon's rate 0.0015 a step at most
    schedule="one_cycle",  # a fall to 0 gives the last points of accuracy
    warmup=0.1,  # the network has no batch norm, so it must not start at the full rate
    epochs=32,  # three quarters of an hour on one CPU core; Muon needs fewer than AdamW
    batch_size=128,  # Muon's own cost does not depend on it: 64 would double its share
    flip=True,  # objects are as likely to face left as right
    crop_border=4,  # the field's standard for 32x32
    label_smoothing=0.05,  # part of the classes are hard to tell apart at 32x32
    feature_dropout=False,  # so short a run underfits; noise costs epochs, on a CPU also time
    average_decay=0.998,  # about the last 500 steps, 1.4 epochs: evens out the noise of steps
    validation_images=5000,  # as above
)

FAST = Recipe(
    name="fast",
    optimizer="muon",
    learning_rate=2e-3,
    muon_learning_rate=0.04,
    weight_decay=0.05,
    schedule="one_cycle",
    warmup=0.1,
    epochs=8,  # 86.1% on test (three seeds); about 10 minutes on two CPU cores
    batch_size=128,
    flip=True,
    crop_border=2,  # less than the usual 4: so short a run underfits
    label_smoothing=0.0,  # likewise
    feature_dropout=False,  # likewise
    average_decay=0.995,  # about the last 200 steps, half an epoch
    validation_images=5000,  # as above
    classifier_dropout=False,  # as the others: no noise in so short a run
    initialization="whitening",  # default weights are so small that the first steps are lost
    alternating_flip=True,  # each image is seen from both sides as often as the other
    second_moment_decay=0.99,  # 0.999 remembers a quarter of the run
)

RESIDUAL = Recipe(
    name="residual",
    optimizer="muon",  # needs fewer epochs than SGD or AdamW, and each is dear
    learning_rate=2e-3,  # AdamW's, for batch norms, the first convolution and the last layer
    muon_learning_rate=0.03,  # as for `strong`
    weight_decay=0.05,  # likewise
    schedule="one_cycle",
    warmup=0.1,
    epochs=5,  # of a ResNet18 at 32x32, ten minutes each on one CPU core: 89.0% on test
    batch_size=128,
    flip=True,
    crop_border=2,  # less than the usual 4: so short a run underfits
    label_smoothing=0.1,  # so large a network fits the training set exactly
    feature_dropout=False,  # ResNets have no dropout
    average_decay=0.99,  # about the last 100 steps of 1,760
    validation_images=5000,
    alternating_flip=True,  # each image is seen from both sides as often as the other
)

BRIEF = replace(
    FAST,
    name="brief",  # for networks that are trained by the dozen: about 80% in five minutes
    epochs=4,
    average_decay=0.99,  # about the last 100 steps of 1,400
)

FURTHER = replace(
    STRONG,
    name="further",  # for a network that is trained already, on images that have changed
    epochs=3,
    crop_border=2,  # so few epochs underfit: less augmentation
    label_smoothing=0.0,  # likewise
    average_decay=0.95,  # about the last 20 steps
    validation_images=1000,  # part of the data is enough
)

_ALL = (TUTORIAL, STRONG, FAST, BRIEF, FURTHER, RESIDUAL)
RECIPES = {recipe.name: recipe for recipe in _ALL}
