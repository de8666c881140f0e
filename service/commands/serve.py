"""`lrpserve serve`: one process, or a supervisor with several workers."""

from __future__ import annotations

import os

from service import __version__
from service.api.rate_limit import log_rate_limit
from service.errors import ServiceError
from service.logs import configure_logging, flush_log, print_soon
from service.models.registry import served_models
from service.runtime.cores import usable_cores
from service.server.grpc_port import check_grpc
from service.server.listen import listen, url_of
from service.server.process import run_server
from service.server.supervisor import Supervisor
from service.server.tls import certificate_files
from service.settings import Settings
from service.text import escape

_FAILED = 2


class StartError(ServiceError):
    """The system refuses what the service needs to start."""

    type = "start-error"
    title = "Cannot start"


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; an error is one sentence and exit status 2."""
    configure_logging(settings.log_format, settings.log_level)
    # fails early if the model does not exist
    served_models(settings.model, settings.models, settings.model_name)
    try:
        _serve(settings, host, port)
    except ServiceError as error:
        _exit(error)
    except (OSError, MemoryError, RuntimeError) as error:  # threads that cannot start raise this
        reason = str(error) or type(error).__name__
        _exit(StartError(f"the service cannot start: {reason}"))


def _exit(error: ServiceError) -> None:
    """Say why, and exit at once: a thread may still load a model, and libraries may say more."""
    print_soon(f"error: {escape(error.detail)}")
    flush_log()
    os._exit(_FAILED)


def _serve(settings: Settings, host: str, port: int) -> None:
    log_rate_limit(settings)
    _note_workers(settings)
    files = certificate_files(settings)
    if files:
        files.load()  # fails early if they cannot be used
    with listen(host, port) as listeners:
        address = url_of(listeners, "https" if files else "http")
        check_grpc(listeners, settings)
        print_soon(f"lrpserve {__version__} listens on {address}; loading the model ...")
        if settings.workers > 1:
            Supervisor(settings, listeners).run()
        else:
            run_server(settings, listeners, print_soon)


def _note_workers(settings: Settings) -> None:
    n_cores = usable_cores()
    is_gpu = any(device.startswith("cuda") for device in settings.devices)
    if settings.workers > n_cores and not is_gpu:
        print_soon(
            f"note: {settings.workers} workers share {n_cores} core{'s' * (n_cores > 1)}: on a "
            f"CPU, more workers than cores gain nothing; set LRPSERVE_WORKERS={n_cores}"
        )
