"""`python -m training labels`: train, explain, compare and write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from service.evidence.baselines import BASELINES
from service.runtime.device import open_device
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels
from training.data import DataSet
from training.faithfulness.store import Store
from training.labels.maps import Comparison, Maps, Sizes, compare_maps
from training.labels.networks import BY_HEART, TRUE, Trained, take_subset, train_networks
from training.labels.picture import SHOWN, draw_maps
from training.labels.summary import write_results

PICTURE = "labels.png"
SayFn = Callable[[str], object]


def check_labels(
    data: DataSet,
    out: Path,
    n_train: int,
    epochs: int,
    sizes: Sizes,
    seed: int,
    device: str,
    say: SayFn,
) -> None:
    """Run the check with shuffled labels, or go on with it.

    Raises
    ------
    ServiceError
        There are too few images, the folder is of other settings, or a network has not learned
        its labels.
    """
    opened, recipe = open_device(device), replace(BY_HEART, epochs=epochs)
    settings: dict[str, Any] = {
        "data": data.description,
        "training_images": n_train,
        "epochs": epochs,
        "seed": seed,
    }
    store = Store(out)
    store.open(settings)
    settings["explained"] = asdict(sizes)  # a run can be continued with more
    subset = take_subset(data, n_train, seed)
    networks = train_networks(subset, recipe, seed, opened, out, say)
    engines = {role: Engine(one.bundle, opened) for role, one in networks.items()}
    pixels = subset.test.images.permute(0, 2, 3, 1).contiguous().numpy()
    maps = Maps(engines, pixels, sizes, store)
    write_results(_compare_all(maps, say), networks, settings, recipe, opened, out)
    _draw(maps, pixels[0], networks[TRUE], out / PICTURE)


def _compare_all(maps: Maps, say: SayFn) -> dict[str, Comparison]:
    found = {name: compare_maps(maps.of_baseline(name)) for name in BASELINES}
    for method in maps.methods:
        found[method.name] = compare_maps(maps.of_method(method))
        say(f"compared: {method.name}")
    return found


def _draw(maps: Maps, image: Pixels, network: Trained, path: Path) -> None:
    methods = {one.name: one for one in maps.methods}
    shown = {
        name: maps.of_baseline(name) if name in BASELINES else maps.of_method(methods[name])
        for name in SHOWN
        if name in BASELINES or name in methods
    }
    first = {name: {role: one[0] for role, one in found.items()} for name, found in shown.items()}
    label = network.bundle.card.labels[maps.targets[0]]
    draw_maps(image, first, f"relevance for {label}, which the first network predicts", path)
