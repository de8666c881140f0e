"""The images of a batch job, explained by actors on a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.batch.images import ImageResult, SourceImage
from service.ray.actors import ExplainActor
from service.ray.arguments import reserved_device
from service.ray.cluster import RayError, cluster_address, end_ray, start_ray
from service.settings import Settings

_AHEAD = 2  # batches of each actor that are computed or wait
_MAX_TRIES = 3  # of a batch: its images may be what actors die of


class RayCompute:
    """Actors with a model each, on `RAY_ADDRESS`, or on this machine without it.

    All machines have to reach the images under the same paths. An actor gets images from when it
    has started: the others do not wait for those that the cluster has no room for. For an actor
    that dies another one is started, and its images are explained again.

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
        actors = _Actors(self._start_actor, self._num_actors)
        waiting: deque[_Task] = deque()
        for batch in batches:
            waiting.append(actors.submit([_with_absolute_path(image) for image in batch]))
            if len(waiting) > _AHEAD * actors.n_started:
                yield actors.result(waiting.popleft())
        while waiting:
            yield actors.result(waiting.popleft())

    def _start_actor(self) -> Any:
        import ray

        kind: Any = ray.remote(ExplainActor)
        return kind.options(num_cpus=1, num_gpus=self._num_gpus).remote(*self._arguments)


@dataclass(frozen=True)
class _Task:
    """A batch that an actor explains; `ref` is that of its results."""

    batch: Sequence[SourceImage]
    actor: Any
    ref: Any
    n_tries: int


class _Actors:
    """Actors that get batches in turn, each from when it has started.

    Ray itself would wait for those that the cluster has no room for, and repeat a batch on the
    actor that has died, whose place another one may have taken.

    Parameters
    ----------
    start : callable
        Starts an actor.
    n : int
        Number of actors.
    """

    def __init__(self, start: Callable[[], Any], n: int) -> None:
        self._start = start
        self._starting: dict[Any, Any] = {}
        self._started: deque[Any] = deque()
        for _ in range(n):
            self._add()

    @property
    def n_started(self) -> int:
        """Number of actors that have started, and not died as far as is known."""
        return len(self._started)

    def submit(self, batch: Sequence[SourceImage], n_tries: int = 1) -> _Task:
        """Give a batch to the next actor; wait for one where none has started."""
        self._look()
        actor = self._started[0]
        self._started.rotate(-1)
        return _Task(batch, actor, actor.explain.remote(batch), n_tries)

    def result(self, task: _Task) -> list[ImageResult]:
        """Wait for the results of a task; where its actor dies, others get the batch.

        Raises
        ------
        ray.exceptions.RayError
            Actors have died of it too often.
        """
        import ray
        from ray.exceptions import ActorDiedError, ActorUnavailableError

        while True:
            try:
                results: list[ImageResult] = ray.get(task.ref)
            except (ActorDiedError, ActorUnavailableError):
                self._replace(task.actor)
                if task.n_tries == _MAX_TRIES:
                    raise
                task = self.submit(task.batch, task.n_tries + 1)
            else:
                return results

    def _add(self) -> None:
        actor = self._start()
        self._starting[actor.__ray_ready__.remote()] = actor

    def _replace(self, actor: Any) -> None:
        if actor in self._started:
            self._started.remove(actor)
            self._add()

    def _look(self) -> None:
        """See which actors have started; wait for the first one."""
        import ray

        if not self._starting:
            return
        n_wanted, timeout_s = (len(self._starting), 0) if self._started else (1, None)
        ready, _ = ray.wait(list(self._starting), num_returns=n_wanted, timeout=timeout_s)
        self._started.extend(self._starting.pop(each) for each in ready)


def _with_absolute_path(image: SourceImage) -> SourceImage:
    content = image.content
    return replace(image, content=content.absolute()) if isinstance(content, Path) else image
