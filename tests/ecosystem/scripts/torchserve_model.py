"""Traces the shipped network, for TorchServe: its file, and its labels by index.

Runs in the service's environment: the folder to write to.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch

from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL


def main(folder: Path) -> None:
    """Write `model.pt` and `index_to_name.json`."""
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    height, width = bundle.card.input_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and what TorchServe reads
        traced = torch.jit.trace(bundle.model.eval(), torch.zeros(1, 3, height, width))
    traced.save(str(folder / "model.pt"))
    labels = {str(index): label for index, label in enumerate(bundle.card.labels)}
    (folder / "index_to_name.json").write_text(json.dumps(labels), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
