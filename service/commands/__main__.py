"""The command line: parses the arguments of each command, and calls it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from service import __version__
from service.api_keys import hash_key, make_key
from service.commands.arguments import (
    Column,
    Device,
    Fit,
    Format,
    Images,
    Input,
    Model,
    OptionalImages,
    Out,
    PartSize,
    RayActors,
    RayGpus,
    TopK,
    check_explain_arguments,
    option,
    with_parameters,
)
from service.errors import ServiceError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
)
from service.runtime.cores import set_wait_policy
from service.settings import load_settings
from service.terminal import cut_middle, open_standard_streams, print_line

app = typer.Typer(
    help="What a network sees in an image, and which pixels made it say so.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"lrpserve {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """What a network sees in an image, and which pixels made it say so."""


@app.command()
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

    run(load_settings(**_given(model=model, device=device, workers=workers)), host, port)


@app.command()
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

    given = _given(
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


@app.command()
def predict(
    images: Images,
    model: Model = None,
    device: Device = None,
    top_k: TopK = None,
    fit: Fit = None,
) -> None:
    """Print the best classes of images, without a server.

    Example: lrpserve predict cat.jpg dog.png --top-k 3
    """
    from service.commands.local import Offline, predict_files

    offline = Offline(load_settings(**_given(model=model, device=device)), len(images))
    _exit(predict_files(offline, images, _given(top_k=top_k, fit=fit)))


@app.command()
@with_parameters
def explain(
    images: OptionalImages = None,
    out: Out = None,
    input_: Input = None,
    format_: Format = None,
    column: Column = None,
    part_size: PartSize = None,
    ray_actors: RayActors = None,
    ray_gpus: RayGpus = 0.0,
    model: Model = None,
    device: Device = None,
    target: Annotated[str | None, option("Class to explain (the predicted class)")] = None,
    contrast: Annotated[str | None, option("Class to contrast the target with")] = None,
    targets: Annotated[
        list[str] | None, option("One of several classes to explain; repeat it for each")
    ] = None,
    start: Annotated[
        str | None, option("`logit` or `one_hot`; the default depends on the composite")
    ] = None,
    composite: Annotated[
        str | None,
        option(
            f"Rules: {', '.join(COMPOSITES)}, a composite of the bundle, or your own rules "
            f"as JSON or @FILE (the model's default method, else {DEFAULT_COMPOSITE})"
        ),
    ] = None,
    attributor: Annotated[
        str | None, option(f"{', '.join(ATTRIBUTORS)} ({DEFAULT_ATTRIBUTOR})")
    ] = None,
    layer: Annotated[str | None, option("Layer whose relevance is computed (input)")] = None,
    layers: Annotated[
        str | None, option("Several layers from one pass: `all`, or names, comma-separated")
    ] = None,
    output: Annotated[
        str | None,
        option(
            "`heatmap`, `overlay`, `relevance`, `evidence` (whether the map is right about the "
            "image, in the JSON), `view` (what the network saw of the image), "
            "`original`; comma-separated (heatmap,overlay). With `--input`, and without `--out`: "
            "where the results go"
        ),
    ] = None,
    relevance_format: Annotated[
        str | None, option("In the JSON: `base64` (default) or `list`")
    ] = None,
    channels: Annotated[
        str | None, option("Relevance of colour channels: `sum` (default) or `all`")
    ] = None,
    cmap: Annotated[str | None, option("Colour map (bwr)")] = None,
    size: Annotated[str | None, option("Side of heatmap and overlay in pixels (256)")] = None,
    enlarge: Annotated[str | None, option("Enlarge the heatmap: `nearest` or `smooth`")] = None,
    overlay_style: Annotated[str | None, option("Overlay: `alpha` (default) or `contours`")] = None,
    color_bar: Annotated[
        str | None, option("Add a colour bar: `true` or `false` (default)")
    ] = None,
    bound: Annotated[
        str | None, option("Relevance that gets the full colour (the maximum)")
    ] = None,
    top_k: TopK = None,
    fit: Fit = None,
    **parameters: str | None,
) -> None:
    """Write heatmaps, overlays and relevance of images, without a server.

    With --input it is a batch job, of any number of images: the same command resumes it.

    Example: lrpserve explain cat.jpg -o out --output overlay,relevance
    """
    given = {k: v for k, v in locals().items() if k not in _NOT_WIRE_OPTIONS}
    options = _given(**given, **parameters)
    settings = load_settings(**_given(model=model, device=device))
    if input_ is not None:
        from service.commands.batch import BatchArguments, explain_batch

        arguments = BatchArguments(
            *(input_, out, images or [], format_, column, part_size, ray_actors, ray_gpus)
        )
        raise typer.Exit(explain_batch(settings, arguments, options))
    paths, folder = check_explain_arguments(
        images, out, format_ or column or part_size or ray_actors
    )
    from service.commands.local import Offline, explain_files

    _exit(explain_files(Offline(settings, len(paths)), paths, options, folder))


_NOT_WIRE_OPTIONS = (
    *("images", "out", "input_", "format_", "column", "part_size", "ray_actors", "ray_gpus"),
    *("model", "device", "parameters"),
)


@app.command()
def verify(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Name of a model, or a bundle's folder (LRPSERVE_MODEL)", metavar="MODEL"
        ),
    ] = None,
    device: Device = None,
) -> None:
    """Compare every composite on a model with zennit, the reference.

    The exit status is 2 if one differs.

    Example: lrpserve verify minivgg-cifar10
    """
    from service.commands.verify import verify_model

    _exit(verify_model(load_settings(**_given(model=model, device=device))))


@app.command()
def advise(
    model: Annotated[
        str, typer.Argument(help="Name of a model, or a bundle's folder", metavar="MODEL")
    ],
    data: Annotated[
        Path, typer.Option(help="Folder of images; those in it that are of its classes do best")
    ],
    n: Annotated[int, typer.Option("--n", help="Images to compare the methods on", min=10)] = 200,
    minutes: Annotated[
        float,
        typer.Option(help="Time that it may take: else fewer images, or methods", min=0.1),
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of the choice of images", min=0)] = 0,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Write evidence and default method into the bundle's card"),
    ] = False,
    device: Device = None,
) -> None:
    """Compare all methods on your model and images, and say which composite to set.

    Example: lrpserve advise my-resnet --data photos --keep
    """
    from service.commands.advise import AdviseArguments, advise_model

    settings = load_settings(**_given(model=model, device=device))
    raise typer.Exit(advise_model(settings, AdviseArguments(data, n, minutes, seed, keep)))


@app.command()
def audit(
    model: Annotated[
        str,
        typer.Argument(help="Name of a model, or a bundle's folder", metavar="BUNDLE"),
    ],
    data: Annotated[Path, typer.Option(help="Folder of images, best in a folder for each class")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results")],
    n: Annotated[
        int | None,
        typer.Option(help="Number of images at most (all)", min=1, show_default=False),
    ] = None,
    others: Annotated[
        int, typer.Option(help="Images of all classes that interventions are tried on", min=10)
    ] = 100,
    seed: Annotated[int, typer.Option(help="Seed of clusters and of the choice", min=0)] = 0,
    device: Device = None,
) -> None:
    """Look for images of a class that a network explains alike, and that may share an artefact.

    Writes OUT/report.html, which opens without a network, OUT/audit.json and a project of ViRelAy.

    Example: lrpserve audit minivgg-cifar10 --data photos --out audit
    """
    from service.commands.audit import audit_model
    from service.evaluation.audit.audit import AuditOptions

    options = AuditOptions(n_others=others, seed=seed)
    settings = load_settings(**_given(model=model, device=device))
    raise typer.Exit(audit_model(settings, data, out, n, options))


@app.command()
def models() -> None:
    """List the models that can be served; * marks the default.

    Example: lrpserve models
    """
    from service.commands.models import list_models

    list_models(load_settings())


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="Name of the new model")],
    arch: Annotated[
        str, typer.Option(help="`resnet50`, `vgg16_bn`, ... or a `module:factory` of yours")
    ],
    weights: Annotated[Path, typer.Option(help="The state_dict: .safetensors, .pt or .pth")],
    labels: Annotated[Path, typer.Option(help="One label per line, or a JSON list of them")],
    mean: Annotated[str, typer.Option(help="Mean of red, green and blue, from 0 to 1")],
    std: Annotated[
        str, typer.Option(help="Standard deviation of red, green and blue, from 0 to 1")
    ],
    size: Annotated[str, typer.Option(help="Side of the network's input, or HEIGHTxWIDTH")],
    resize: Annotated[
        int | None, typer.Option(help="Length of an image's shorter side before `crop`")
    ] = None,
    data: Annotated[str, typer.Option(help="Name of the training data")] = "unknown",
    force: Annotated[
        bool, typer.Option("--force", help="Replace a model of the same name")
    ] = False,
) -> None:
    """Make a bundle from your own weights, in the folder LRPSERVE_MODELS (./models).

    Example: lrpserve import --arch resnet50 --weights resnet50.pth --labels imagenet.txt
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --size 224 --resize 256 resnet50
    """
    from service.commands.importing import import_source
    from service.models.source import Source, parse_channels, parse_size

    means, stds = parse_channels("mean", mean), parse_channels("std", std)
    source = Source(name, arch, weights, labels, means, stds, parse_size(size), resize, data)
    import_source(source, load_settings(), force=force)


@app.command()
def key() -> None:
    """Make an API key; print the key and its hash: LRPSERVE_API_KEYS takes either.

    Example: lrpserve key
    """
    new_key = make_key()
    typer.echo(f"{new_key}\n{hash_key(new_key)}")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _exit(n_failed: int) -> None:
    if n_failed:
        raise typer.Exit(2)


def run() -> None:
    """Run the command line; a `ServiceError` is one sentence and exit status 2."""
    open_standard_streams()
    set_wait_policy()
    # a process that is started looks for modules in the current folder otherwise: `pickle.py`, ...
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        app()
    except ServiceError as error:
        detail = error.detail
    except MemoryError:
        detail = "there is not enough memory"
    else:
        return
    print_line(f"error: {cut_middle(detail)}", is_error=True)
    raise SystemExit(2)
