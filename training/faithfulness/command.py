"""`python -m training faithfulness`: measure, and write what has been measured so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.errors import ServiceError, join_names
from service.evaluation.candidates import Candidate
from service.evaluation.images import ImageSet, list_images, read_images
from service.evaluation.perturbed import DECISIVE
from service.models.bundles import read_bundle
from service.models.card import ModelCard, read_card, write_card
from service.runtime.device import open_device
from service.runtime.engine import Engine
from training.faithfulness.experiment import (
    SETTINGS,
    Block,
    SayFn,
    Sizes,
    all_methods,
    name_of,
    run_curves,
)
from training.faithfulness.extras import EXTRAS, RANDOMIZED, Extras
from training.faithfulness.pictures import draw_curves
from training.faithfulness.randomized import write_randomized
from training.faithfulness.store import Store
from training.faithfulness.summary import for_card, summarize, table, write_summary

_SEED = 0  # of the order of the images
_N_DRAWN = 5


class UnknownName(ServiceError):
    """There is no such method or setting."""

    type = "unknown-name"
    title = "There is no such method or setting"


@dataclass(frozen=True)
class Arguments:
    """Arguments of the command.

    Attributes
    ----------
    bundle, data, out : Path
        Folders.
    sizes : Sizes
        How many images.
    methods, settings : tuple of str
        Names; all if empty.
    minutes : float
        After which it stops, to be continued.
    has_extras : bool
        Whether the other measures are made too, on the first block.
    keeps : bool
        Whether the card is written.
    device : str
        `auto`, `cpu` or `cuda:0`.
    """

    bundle: Path
    data: Path
    out: Path
    sizes: Sizes
    methods: tuple[str, ...]
    settings: tuple[str, ...]
    minutes: float
    has_extras: bool
    keeps: bool
    device: str


def run_faithfulness(arguments: Arguments, say: SayFn) -> bool:
    """Run, or go on with, an experiment; returns whether all of it is there.

    Raises
    ------
    ServiceError
        The bundle, the images or the folder cannot be used, or a name is unknown.
    """
    engine = Engine(read_bundle(arguments.bundle), open_device(arguments.device))
    images = _read(arguments, engine.card)
    store = Store(arguments.out)
    store.open({"model_sha256": engine.card.sha256, "data": arguments.data.name, "seed": _SEED})
    everything = all_methods(engine)
    methods = _chosen(everything, arguments.methods)
    settings = [SETTINGS[name] for name in _known(arguments.settings, list(SETTINGS))]
    is_done = run_curves(
        *(engine, images, store, arguments.sizes, settings, methods),
        *(60 * arguments.minutes, say),
    )
    if arguments.has_extras:
        _measure_extras(engine, images, store, methods, say)
    write_randomized(engine, store, everything, arguments.out)
    if not _write(engine, store, everything, arguments):
        say(f"nothing to summarize before {DECISIVE.name} is measured, which decides")
    return is_done


def _read(arguments: Arguments, card: ModelCard) -> ImageSet:
    """The images in the order in which they are measured."""
    paths = list_images(arguments.data)
    order = np.random.default_rng(_SEED).permutation(len(paths))
    n = max(arguments.sizes.default, arguments.sizes.others)
    return read_images([paths[index] for index in order[:n]], card)


def _measure_extras(
    engine: Engine, images: ImageSet, store: Store, methods: Sequence[Candidate | str], say: SayFn
) -> None:
    extras = Extras(engine, Block(engine, images, 0, store), store)
    for method in methods:
        if isinstance(method, Candidate) and not _has_extras(store, method):
            store.write(method.name, EXTRAS, 0, extras.measure(method))
            say(f"measured: {method.name}")


def _has_extras(store: Store, method: Candidate) -> bool:
    return all(store.read(method.name, part, 0) is not None for part in (EXTRAS, RANDOMIZED))


def _write(
    engine: Engine, store: Store, methods: Sequence[Candidate | str], arguments: Arguments
) -> bool:
    """Write what has been measured so far; returns whether there is enough of it."""
    evidence = summarize(engine, store, methods, arguments.data.name)
    if evidence is None:
        return False
    write_summary(evidence, store, methods, arguments.out)
    fills = [name for name in SETTINGS if name.endswith("-4")]
    columns = [f"gap {name}" for name in fills] + [
        f"{measure} {DECISIVE.name}" for measure in ("deletion", "insertion")
    ]
    (arguments.out / "table.md").write_text(table(evidence, columns), encoding="utf-8")
    drawn = [name for name in evidence.methods if name not in evidence.baselines][:_N_DRAWN]
    draw_curves(store, drawn, arguments.out / "curves.png")
    if arguments.keeps:
        card = read_card(arguments.bundle)
        write_card(arguments.bundle, card.model_copy(update={"evidence": for_card(evidence)}))
    return True


def _chosen(methods: Sequence[Candidate | str], names: Sequence[str]) -> list[Candidate | str]:
    known = {name_of(method): method for method in methods}
    return [known[name] for name in _known(names, list(known))]


def _known(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in known:
            raise UnknownName(f"there is no {name!r}; there are: {join_names(known, limit=100)}")
    return names or known
