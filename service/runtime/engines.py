"""Loads engines: device, bundles, self-test. Imports torch, which takes a second."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.models.bundles import read_bundle
from service.runtime.batch_size import BatchPlan
from service.runtime.device import open_device, usable_threads
from service.runtime.engine import Engine

# torch.fx traces by patching torch's classes: a second thread's calls would be traced with them
_tracing = threading.Lock()


def load_engines(
    models: Mapping[str, Path],
    device: str,
    architectures: Sequence[str] = (),
    n_sharing: int = 1,
    max_batch_size: int | None = None,
    *,
    measures_batches: bool = True,
    like: Mapping[str, object] | None = None,
) -> dict[str, Engine]:
    """Load models, and check each against the reference.

    Parameters
    ----------
    models : mapping of str to Path
        Folders of bundles by the names under which they are served.
    device : str
        `auto`, or a device as torch names it.
    architectures : sequence of str
        Modules of the user's own that an architecture may name.
    n_sharing : int
        How many engines of each model, in all processes, share the cores of the CPU.
    max_batch_size : int or None
        Upper bound of the batch size.
    measures_batches : bool
        Whether the best batch size is measured; without that it is 1.
    like : mapping of str to Engine, optional
        Engines that are replaced, by name: where the network has the same shape, its batch size is
        not measured again.

    Raises
    ------
    BundleError
        A bundle or the device cannot be used, or a model fails its self-test.
    """
    opened = open_device(device)
    n_threads = max(1, usable_threads() // n_sharing)
    engines = {}
    for name, folder in models.items():
        with _tracing:
            engine = Engine(read_bundle(folder, architectures, name), opened, n_threads)
            if measures_batches:
                engine.warm_up(max_batch_size, _measured_plan(engine, (like or {}).get(name)))
            else:
                engine.check()
        engines[name] = engine
    return engines


def _measured_plan(engine: Engine, present: object) -> BatchPlan | None:
    """The batches of the engine that is replaced, if its network has the same shape."""
    if not isinstance(present, Engine):
        return None
    shapes = {
        (one.card.architecture, one.card.input_size, len(one.card.labels), one.device)
        for one in (engine, present)
    }
    return present.plan if len(shapes) == 1 else None
