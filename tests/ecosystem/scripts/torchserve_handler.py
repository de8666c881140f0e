"""TorchServe's image classifier with the normalization of the shipped network."""

from __future__ import annotations

from torchvision import transforms
from ts.torch_handler.image_classifier import ImageClassifier


class Classifier(ImageClassifier):  # type: ignore[misc]  # installed for the real server only
    """Reads images of the network's size."""

    image_processing = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.4911, 0.4819, 0.4466], std=[0.2453, 0.2428, 0.2607]),
        ]
    )
