"""Load engines: device, bundles, self-test. Imports torch, so import it where it may take time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from service.lrp.explainer import IsCancelled, never_cancelled
from service.models.bundles import read_bundle
from service.runtime.batcher import Outcomes
from service.runtime.device import describe_device, memory_bytes, open_device
from service.runtime.engine import Engine
from service.runtime.jobs import Job, LayerInfo, Result


class Engines:
    """An engine for each model, on one device. Used by one thread only.

    Parameters
    ----------
    engines : mapping of str to Engine
        By the model's name.
    device : torch.device
        That they are on.
    """

    def __init__(self, engines: Mapping[str, Engine], device: torch.device) -> None:
        self.engines, self._device = engines, device
        self.device_name = describe_device(device)

    def memory_bytes(self) -> int:
        """Memory in use on the device; on a CPU, by the process."""
        return memory_bytes(self._device)

    @property
    def layers(self) -> Mapping[str, tuple[LayerInfo, ...]]:
        """The layers whose relevance can be asked for, by the model's name."""
        return {name: engine.layers for name, engine in self.engines.items()}

    def best_size(self, job: Job) -> int:
        """How many jobs like this one are best done at once."""
        return self.engines[job.model].best_size(job)

    def run(
        self, jobs: Sequence[Job], is_cancelled: IsCancelled = never_cancelled
    ) -> Outcomes[Result]:
        """Do jobs of one key with the model that they name, until all are cancelled."""
        return self.engines[jobs[0].model].run(jobs, is_cancelled)


def load_engines(
    models: Mapping[str, Path],
    device: str,
    architectures: Sequence[str] = (),
    n_sharing: int = 1,
    max_batch_size: int | None = None,
) -> Engines:
    """Load models, and check each against the reference.

    Parameters
    ----------
    models : mapping of str to Path
        Folders of bundles by the models' names.
    device : str
        `auto`, or a device as torch names it.
    architectures : sequence of str
        Modules of the user's own that an architecture may name.
    n_sharing : int
        How many threads like this one, in all processes, share the CPU.
    max_batch_size : int or None
        Bound on the size of a batch, which is found by trying.

    Raises
    ------
    BundleError
        A bundle or the device cannot be used, or a model fails its self-test.
    """
    opened = open_device(device, n_sharing)
    engines = {}
    for name, folder in models.items():
        engine = Engine(read_bundle(folder, architectures), opened)
        engine.warm_up(max_batch_size)
        engines[name] = engine
    return Engines(engines, opened)
