"""Ray itself: whether it is installed, and the connection of this process to it."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

from service.errors import ServiceError

LOCAL = "local"  # Ray's name for a new cluster on this machine


class RayMissing(ServiceError):
    """Ray is not installed."""

    type = "ray-missing"
    title = "Ray is not installed"


class RayError(ServiceError):
    """Ray cannot start, or fails."""

    type = "ray-error"
    title = "Ray cannot start, or fails"


def require_ray() -> None:
    """Check that Ray is installed.

    Raises
    ------
    RayMissing
        It is not.
    """
    if find_spec("ray") is None:
        raise RayMissing("Ray is not installed: pip install 'lrpserve[ray]'")


def cluster_address(given: str | None = None) -> str:
    """The address of the cluster: as given, or `RAY_ADDRESS`, or a new one on this machine."""
    return given or os.environ.get("RAY_ADDRESS") or LOCAL


def start_ray(address: str, *, has_dashboard: bool = False) -> None:
    """Connect to a cluster, or start Ray on this machine; the handler of SIGTERM stays.

    Raises
    ------
    RayError
        Says why that fails.
    """
    require_ray()
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        if address == LOCAL:
            ray.init(address, include_dashboard=has_dashboard, _node_ip_address="127.0.0.1")
        else:
            ray.init(address)
    except Exception as error:  # Ray raises this class itself
        raise RayError(f"Ray cannot be started or reached: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, handler)


def end_ray() -> None:
    """Disconnect from a cluster; end Ray where this process has started it."""
    import ray

    ray.shutdown()
