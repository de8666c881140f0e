"""The engines of the served models, and of replaced ones that requests still need. Needs no torch.

The contract:

- A request is resolved against the card of one version of a model, and runs on the engines of that
  version, also where the model is replaced or unloaded meanwhile.
- A version lives as long as it is served, or a card of it or a queued job exists. Then its engines
  are closed, and their memory is free.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Protocol

from service.errors import OptionError
from service.lrp.passes import Passes
from service.methods import Start
from service.models.card import ModelCard
from service.runtime.batcher import Outcomes
from service.runtime.jobs import Job, LayerInfo, Result


class JobRunner(Protocol):
    """The engine of one model."""

    device_name: str
    layers: tuple[LayerInfo, ...]
    default_starts: Mapping[str, Start]  # by composite

    def best_batch_size(self, job: Job) -> int:
        """The largest batch size that jobs like this one gain from."""

    def memory_bytes(self) -> int:
        """Memory in use on its device; on a CPU, by the process."""

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        """Run a batch of one key, with pauses between its passes.

        Each job has a result or an error of its own. What is raised concerns all of them.
        """

    def check_device(self) -> None:
        """Compute the warm-up image; any exception means that the device fails."""

    def close(self) -> None:
        """Free its memory; it is not used any more."""


Engines = Mapping[str, JobRunner]  # of one device, by the models' names


class LoadedModel:
    """A version of a model: its engine on each device.

    Parameters
    ----------
    version : str
        Digest of its card.
    engines : sequence of JobRunner
        One for each device.
    """

    def __init__(self, version: str, engines: Sequence[JobRunner]) -> None:
        self.version, self.engines = version, tuple(engines)
        weakref.finalize(self, _close, self.engines).atexit = False

    def keep_for(self, card: ModelCard) -> None:
        """Live at least as long as a card of this version: its requests need the engines."""
        weakref.finalize(card, _forget, self).atexit = False


def _close(engines: Sequence[JobRunner]) -> None:
    for engine in engines:
        engine.close()


def _forget(model: LoadedModel) -> None:
    """Nothing: the finalizer that calls it has held the model, and now drops it."""


class LoadedModels:
    """The loaded models, by name and version.

    Attributes
    ----------
    current : mapping of str to LoadedModel
        What is served, by name.
    """

    def __init__(self) -> None:
        self.current: Mapping[str, LoadedModel] = {}
        self._versions: weakref.WeakValueDictionary[tuple[str, str], LoadedModel]
        self._versions = weakref.WeakValueDictionary()

    def serve(self, models: Mapping[str, LoadedModel]) -> None:
        """Replace all that is served."""
        for name, model in models.items():
            self._versions[name, model.version] = model
        self.current = dict(models)

    def of(self, job: Job) -> LoadedModel:
        """The version of the model that a job was made for.

        Raises
        ------
        OptionError
            It is not loaded any more.
        """
        found = self.current.get(job.model)
        if found is None or job.version not in ("", found.version):
            found = self._versions.get((job.model, job.version))
        if found is None:
            raise OptionError.of("model", f"{job.model} has been unloaded; choose another")
        return found

    def engines(self) -> dict[str, JobRunner]:
        """The engine of each model on the first device; the others are of its kind."""
        return {name: model.engines[0] for name, model in self.current.items()}
