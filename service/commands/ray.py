"""`lrpserve ray`: the application on a Ray cluster, or on a local Ray, until a signal comes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from service import __version__
from service.models.registry import served_models
from service.ray.application import NAME, deployment_of
from service.ray.arguments import RayArguments
from service.ray.cluster import (
    LOCAL,
    RayError,
    cluster_address,
    end_ray,
    require_ray,
    start_ray,
)
from service.server.listen import UNIX, listen, url_of
from service.server.tls import certificate_files
from service.settings import Settings
from service.terminal import print_line

if TYPE_CHECKING:
    from ray.serve import Application

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_on_ray(
    arguments: RayArguments,
    host: str,
    port: int,
    address: str | None,
    *,
    has_dashboard: bool = False,
) -> None:
    """Serve on Ray until SIGINT, SIGTERM or SIGHUP.

    Parameters
    ----------
    arguments : RayArguments
        Of the application.
    host : str
        Address on which Ray's proxy listens.
    port : int
        Its port; 0 chooses a free one.
    address : str or None
        Of a Ray cluster, by default `RAY_ADDRESS`; without either, Ray is started on this machine.
    has_dashboard : bool
        Whether Ray's dashboard is started too, on this machine.

    Raises
    ------
    ServiceError
        Ray is not installed or cannot start, the certificate cannot be used, or the replicas
        cannot load their models.
    """
    require_ray()
    settings = arguments.settings()
    address = cluster_address(address)
    if host.startswith(UNIX):
        raise RayError("Ray does not listen on unix sockets; choose an address for --host")
    if address == LOCAL:  # fail early; a cluster may have other files
        served_models(settings.model, settings.models, settings.model_name)
        if files := certificate_files(settings):
            files.load()
    with listen(host, port) as listeners:  # Ray's proxy would fail somewhere in its log
        url = url_of(listeners, "https" if settings.tls_cert else "http")
        port = listeners[0].getsockname()[1]
    signals = _StopSignals()
    try:
        signals.handle()
        start_ray(address, has_dashboard=has_dashboard)
        _serve(deployment_of(arguments), settings, host, port, url)
    except _Stopped:
        return
    finally:
        end_ray()


class _Stopped(BaseException):
    """A signal to stop."""


class _StopSignals:
    """Raises `_Stopped` at the first signal, and exits at once at the second."""

    def __init__(self) -> None:
        self._has_stopped = False

    def handle(self) -> None:
        """Handle the signals; SIGHUP stays ignored where it is, as by `nohup`."""
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._has_stopped:
            os._exit(128 + number)
        self._has_stopped = True
        raise _Stopped


def _serve(application: Application, settings: Settings, host: str, port: int, url: str) -> None:
    import ray
    from ray import serve

    serve.start(http_options=_http_options(settings, host, port))
    cluster = ray.get_runtime_context().gcs_address
    print_line(
        f"lrpserve {__version__} on Ray at {cluster} listens on {url}; loading the model ...",
        is_error=True,
    )
    with _deployed(application, settings.root_path or "/"):
        print_line(f"ready: docs at {url}{settings.root_path}/docs", is_error=True)
        threading.Event().wait()


def _http_options(settings: Settings, host: str, port: int) -> dict[str, str | float | None]:
    # longer than the deadline of a replica: for requests that wait while no replica runs
    timeout_s = settings.deadline_s + settings.receive_s
    options: dict[str, str | float | None] = {"host": host, "port": port}
    options["request_timeout_s"] = timeout_s
    if files := certificate_files(settings):  # TLS ends at Ray's proxy
        options["ssl_certfile"] = str(files.certificate.absolute())
        options["ssl_keyfile"] = str(files.key.absolute())
        options["ssl_keyfile_password"] = files.password
    return options


@contextmanager
def _deployed(application: Application, route_prefix: str) -> Iterator[None]:
    """Deploy the application, and delete it afterwards.

    Raises
    ------
    RayError
        Its replicas cannot start; the message has the reason of one.
    """
    from ray import serve
    from ray.exceptions import RayError as ErrorOfRay
    from ray.serve.exceptions import RayServeException

    try:
        try:
            serve.run(application, name=NAME, route_prefix=route_prefix)
        except RuntimeError as error:
            raise RayError(_reason() or str(error)) from error
        yield
    finally:
        with suppress(ErrorOfRay, RayServeException):  # others may have shut Ray Serve down
            serve.delete(NAME)


def _reason() -> str:
    """The last line of a replica's error; empty where there is none."""
    from ray import serve

    application = serve.status().applications.get(NAME)
    deployments = application.deployments.values() if application else ()
    lines = [line for each in deployments for line in each.message.strip().splitlines()]
    return lines[-1] if lines else ""
