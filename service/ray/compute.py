"""The images of a batch job, explained by actors on a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.batch.images import ImageResult, SourceImage
from service.ray.actors import ExplainActor
from service.ray.arguments import reserved_device
from service.ray.cluster import RayError, cluster_address, end_ray, start_ray
from service.settings import Settings

_AHEAD = 2  # batches of each actor that are computed or wait


class RayCompute:
    """Actors with a model each, on `RAY_ADDRESS`, or on this machine without it.

    All machines have to reach the images under the same paths. An actor gets images from when it
    has started: the others do not wait for those that the cluster has no room for. An actor that
    dies is started again, and its images are explained again.

    Parameters
    ----------
    settings : Settings
        The model.
    options : mapping of str to Any
        Options as `/explain` takes them.
    num_actors : int
        Number of actors.
    num_gpus : float
        GPUs of an actor; 0 computes on the CPU.
    """

    batch_size = 64

    def __init__(
        self, settings: Settings, options: Mapping[str, Any], num_actors: int, num_gpus: float
    ) -> None:
        self._arguments = (reserved_device(settings, num_gpus), options, 1)
        self._num_actors, self._num_gpus = num_actors, num_gpus

    def explain(self, batches: Iterable[Sequence[SourceImage]]) -> Iterator[list[ImageResult]]:
        """Yield the results of each batch, in their order.

        Raises
        ------
        RayError
            Ray cannot be started, or its actors fail.
        """
        start_ray(cluster_address())
        from ray.exceptions import RayError as ErrorOfRay

        try:
            yield from self._explain(batches)
        except ErrorOfRay as error:
            reason = str(error).strip().splitlines()[-1]
            raise RayError(f"the actors on Ray fail: {reason}") from error
        finally:
            end_ray()

    def _explain(self, batches: Iterable[Sequence[SourceImage]]) -> Iterator[list[ImageResult]]:
        import ray

        kind: Any = ray.remote(ExplainActor)
        kind = kind.options(
            num_cpus=1, num_gpus=self._num_gpus, max_restarts=-1, max_task_retries=-1
        )
        actors = [kind.remote(*self._arguments) for _ in range(self._num_actors)]
        starting = {actor.__ray_ready__.remote(): actor for actor in actors}
        started: deque[Any] = deque()
        waiting: deque[Any] = deque()
        for batch in batches:
            started += _take_started(starting, waits=not started)
            waiting.append(started[0].explain.remote([_with_absolute_path(each) for each in batch]))
            started.rotate(-1)
            if len(waiting) > _AHEAD * len(started):
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())


def _take_started(starting: dict[Any, Any], *, waits: bool) -> list[Any]:
    """Remove the actors that have started; wait for the first one if told so."""
    import ray

    if not starting:
        return []
    n_wanted, timeout_s = (1, None) if waits else (len(starting), 0)
    ready, _ = ray.wait(list(starting), num_returns=n_wanted, timeout=timeout_s)
    return [starting.pop(each) for each in ready]


def _with_absolute_path(image: SourceImage) -> SourceImage:
    content = image.content
    return replace(image, content=content.absolute()) if isinstance(content, Path) else image
