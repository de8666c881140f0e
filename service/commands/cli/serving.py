"""The commands that serve: `serve`, `ray`, and `key` for who may ask."""

from __future__ import annotations

from typing import Annotated

import typer

from service.api_keys import hash_key, make_key
from service.commands.cli.arguments import Device, Model, given_options, option
from service.settings import load_settings


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Address or name to listen on; `::` is IPv6 and IPv4, `unix:PATH` a unix socket"
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 chooses a free one", min=0, max=65535)
    ] = 8000,
    model: Model = None,
    device: Device = None,
    workers: Annotated[
        str | None, option("Worker processes, for CPUs (LRPSERVE_WORKERS; 1)")
    ] = None,
) -> None:
    """Serve /predict and /explain over HTTP until Ctrl-C.

    Example: lrpserve serve --port 8000
    """
    from service.commands.serve import serve as run  # keeps FastAPI out of the other commands

    run(load_settings(**given_options(model=model, device=device, workers=workers)), host, port)


def ray(
    host: Annotated[str, typer.Option(help="Address that Ray's proxy listens on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Its port; 0 chooses a free one", min=0, max=65535)
    ] = 8000,
    address: Annotated[
        str | None,
        option("Address of a Ray cluster (RAY_ADDRESS; Ray is started on this machine)"),
    ] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Start Ray's dashboard too, on this machine")
    ] = False,
    model: Model = None,
    models: Annotated[
        str | None, option("Folder whose sub-folders are bundles (LRPSERVE_MODELS)")
    ] = None,
    replicas: Annotated[str | None, option("Number of replicas (1)")] = None,
    num_cpus: Annotated[str | None, option("CPUs and threads of a replica (1)")] = None,
    num_gpus: Annotated[
        str | None, option("GPUs of a replica: 0.5 shares a GPU between two (0)")
    ] = None,
    max_replicas: Annotated[
        str | None, option("Largest number of replicas; it turns autoscaling on")
    ] = None,
    min_replicas: Annotated[str | None, option("Smallest number of replicas (1)")] = None,
    target_ongoing_requests: Annotated[
        str | None, option("Requests in progress per replica that autoscaling aims at (16)")
    ] = None,
    upscale_delay_s: Annotated[
        str | None, option("Seconds of too much load until replicas are added (30)")
    ] = None,
    downscale_delay_s: Annotated[
        str | None, option("Seconds of too little load until replicas are removed (600)")
    ] = None,
) -> None:
    """Serve on Ray Serve until Ctrl-C: replicas of the service behind Ray's proxy.

    Example: lrpserve ray --replicas 2
    """
    from service.commands.ray import serve_on_ray
    from service.ray.arguments import read_arguments

    given = given_options(
        model=model,
        models=models,
        num_replicas=replicas,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        target_ongoing_requests=target_ongoing_requests,
        upscale_delay_s=upscale_delay_s,
        downscale_delay_s=downscale_delay_s,
    )
    serve_on_ray(read_arguments(given), host, port, address, has_dashboard=dashboard)


def key() -> None:
    """Make an API key; print the key and its hash: LRPSERVE_API_KEYS takes either.

    Example: lrpserve key
    """
    new_key = make_key()
    typer.echo(f"{new_key}\n{hash_key(new_key)}")
