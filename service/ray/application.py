"""The Ray Serve application: a deployment whose replicas run the application of `create_app`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.ray.arguments import RayArguments, read_arguments
from service.ray.cluster import require_ray
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

NAME = "lrpserve"
_SPARE_REQUESTS = 256  # in progress beside those in the queue: received, computed, sent


def build(arguments: Mapping[str, Any]) -> Application:
    """Build the application for `serve run service.ray:build name=value ...`.

    Settings come from `LRPSERVE_*` of the process that builds it, and reach the replicas with it.

    Parameters
    ----------
    arguments : mapping of str to Any
        Those of `RayArguments`; values may be text.

    Raises
    ------
    ArgumentError
        An argument is unknown or invalid.
    SettingsError
        A variable of the environment is invalid.
    RayMissing
        Ray is not installed.
    """
    return deployment_of(read_arguments(arguments))


def deployment_of(arguments: RayArguments) -> Application:
    """Make the application from its arguments.

    Raises
    ------
    SettingsError
        A variable of the environment is invalid.
    RayMissing
        Ray is not installed.
    """
    require_ray()
    from ray import serve

    from service.ray.replica import Replica

    settings = arguments.settings()

    def make_app() -> FastAPI:  # in the process of each replica
        from service.ray.replica import make_replica_app

        return make_replica_app(settings)

    autoscaling = arguments.autoscaling()
    options = deployment_options(settings) | {
        "ray_actor_options": {"num_cpus": arguments.num_cpus, "num_gpus": arguments.num_gpus},
        "num_replicas": "auto" if autoscaling else arguments.num_replicas or 1,
        "autoscaling_config": autoscaling,
    }
    deployment: Any = serve.deployment(serve.ingress(make_app)(Replica), name=NAME, **options)
    application: Application = deployment.bind()
    return application


def deployment_options(settings: Settings) -> dict[str, Any]:
    """Options of the deployment that follow from the settings.

    A replica takes more requests than its queue has places, so that it responds with a 429 and
    `Retry-After` itself: Ray's own queue would let them wait without a deadline.
    """
    n_requests = settings.queue_size + _SPARE_REQUESTS
    return {
        "max_ongoing_requests": n_requests,
        "max_queued_requests": n_requests,  # while no replica runs
        "graceful_shutdown_timeout_s": settings.deadline_s,  # accepted requests are answered
        "health_check_timeout_s": settings.hang_s,
        "health_check_period_s": min(10.0, settings.hang_s),
    }
