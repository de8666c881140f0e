"""`lrpserve serve`: one process, or a supervisor with several workers."""

from __future__ import annotations

import typer

from service import __version__
from service.api.rate_limit import log_rate_limit
from service.logs import configure_logging
from service.models.registry import served_models
from service.runtime.cores import usable_cores
from service.server.listen import listen, url_of
from service.server.process import run_server
from service.server.supervisor import Supervisor
from service.settings import Settings


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    ServiceError
        The address is in use, or the model cannot be loaded.
    """
    configure_logging(settings.log_format, settings.log_level)
    log_rate_limit(settings)
    _note_workers(settings)
    served_models(settings.model, settings.models)  # fails early if the model does not exist
    with listen(host, port) as listeners:
        typer.echo(
            f"lrpserve {__version__} listens on {url_of(listeners)}; loading the model ...",
            err=True,
        )
        if settings.workers > 1:
            Supervisor(settings, listeners).run()
        else:
            run_server(settings, listeners, lambda greeting: typer.echo(greeting, err=True))


def _note_workers(settings: Settings) -> None:
    n_cores = usable_cores()
    is_gpu = any(device.startswith("cuda") for device in settings.devices)
    if settings.workers > n_cores and not is_gpu:
        typer.echo(
            f"note: {settings.workers} workers share {n_cores} core{'s' * (n_cores > 1)}: on a "
            f"CPU, more workers than cores gain nothing; set LRPSERVE_WORKERS={n_cores}",
            err=True,
        )
