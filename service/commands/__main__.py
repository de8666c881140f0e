"""The command line: `lrpserve serve | predict | explain | models | import | verify | key`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service import __version__
from service.api_keys import hash_key, make_key
from service.errors import ServiceError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
    Parameter,
    all_parameters,
)
from service.models.card import read_card
from service.models.registry import find_bundle, find_models
from service.settings import load_settings

app = typer.Typer(
    help="What a network sees in an image, and which pixels made it say so.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Images = Annotated[list[Path], typer.Argument(help="Image files", metavar="IMAGE...")]
Text = Annotated[str | None, typer.Option(show_default=False)]


def _option(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


Model = Annotated[str | None, _option("Name of a model, or a bundle's folder (LRPSERVE_MODEL)")]
Device = Annotated[str | None, _option("`auto`, `cpu` or `cuda:0` (LRPSERVE_DEVICE)")]
TopK = Annotated[str | None, _option("How many of the best classes to show (5)")]
Fit = Annotated[str | None, _option("`crop` (default), `stretch` or `pad`")]


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"lrpserve {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it")
    ] = False,
) -> None:
    """What a network sees in an image, and which pixels made it say so."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 for a free one", min=0, max=65535)
    ] = 8000,
    model: Model = None,
    device: Device = None,
    workers: Annotated[
        str | None, _option("Processes that serve, for CPUs (LRPSERVE_WORKERS; 1)")
    ] = None,
) -> None:
    """Serve /predict and /explain over HTTP, until Ctrl-C.

    Example: lrpserve serve --port 8000
    """
    from service.commands.serve import serve as run  # keeps FastAPI out of the other commands

    run(load_settings(**_given(model=model, device=device, workers=workers)), host, port)


@app.command()
def predict(
    images: Images,
    model: Model = None,
    device: Device = None,
    top_k: TopK = None,
    fit: Fit = None,
) -> None:
    """Print the best classes of images; needs no server.

    Example: lrpserve predict cat.jpg dog.png --top-k 3
    """
    from service.commands.local import Offline, predict_files

    offline = Offline(load_settings(**_given(model=model, device=device)))
    _exit(predict_files(offline, images, _given(top_k=top_k, fit=fit)))


def _with_parameters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each parameter of the registry, in place of `**parameters`."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, _option(_help_of(parameter))],
        )
        for name, parameter in all_parameters().items()
    ]
    # typer makes a command of what this says
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return command


def _help_of(parameter: Parameter) -> str:
    default = parameter.default
    shown = str(default).lower() if isinstance(default, bool) else default
    return parameter.text if default is None else f"{parameter.text} ({shown})"


@app.command()
@_with_parameters
def explain(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that the files are written to")],
    model: Model = None,
    device: Device = None,
    target: Annotated[str | None, _option("Class to explain (the predicted one)")] = None,
    contrast: Annotated[str | None, _option("Class to explain it against")] = None,
    targets: Annotated[
        list[str] | None, _option("Class to explain among others; give it several times")
    ] = None,
    start: Annotated[str | None, _option("`one_hot` (default) or `logit`")] = None,
    composite: Annotated[
        str | None,
        _option(
            f"The rules: {', '.join(COMPOSITES)}, one of the model's own, or rules of your own as "
            f"JSON or @FILE with JSON ({DEFAULT_COMPOSITE})"
        ),
    ] = None,
    attributor: Annotated[
        str | None, _option(f"One of: {', '.join(ATTRIBUTORS)} ({DEFAULT_ATTRIBUTOR})")
    ] = None,
    layer: Annotated[
        str | None, _option("Layer whose output's relevance is wanted (input)")
    ] = None,
    output: Annotated[
        str | None, _option("Of `heatmap` (default), `overlay`, `relevance`; comma-separated")
    ] = None,
    relevance_format: Annotated[str | None, _option("In the JSON: `base64` or `list`")] = None,
    channels: Annotated[str | None, _option("`sum` (default) or `all`")] = None,
    cmap: Annotated[str | None, _option("Colour map (bwr)")] = None,
    size: Annotated[str | None, _option("Side of the pictures in pixels (256)")] = None,
    enlarge: Annotated[str | None, _option("Of the map: `nearest` or `smooth`")] = None,
    overlay_style: Annotated[str | None, _option("`alpha` (default) or `contours`")] = None,
    color_bar: Annotated[str | None, _option("Whether there is a colour bar (false)")] = None,
    bound: Annotated[str | None, _option("Relevance with the full colour (the maximum)")] = None,
    top_k: TopK = None,
    fit: Fit = None,
    **parameters: str | None,
) -> None:
    """Write heatmaps, overlays and relevance of images to a folder; needs no server.

    Example: lrpserve explain cat.jpg -o out --output heatmap,overlay
    """
    given = {k: v for k, v in locals().items() if k not in _NOT_WIRE_OPTIONS}
    options = _given(**given, **parameters)
    from service.commands.local import Offline, explain_files

    offline = Offline(load_settings(**_given(model=model, device=device)))
    _exit(explain_files(offline, images, options, out))


_NOT_WIRE_OPTIONS = ("images", "out", "model", "device", "parameters")


@app.command()
def verify(
    model: Annotated[
        str | None, typer.Argument(help="As --model elsewhere", metavar="MODEL")
    ] = None,
    device: Device = None,
) -> None:
    """Compare every composite with zennit, the reference, on a model; a failure ends with 2.

    Example: lrpserve verify minivgg-cifar10
    """
    from service.commands.verify import verify_model

    _exit(verify_model(load_settings(**_given(model=model, device=device))))


@app.command()
def models() -> None:
    """List the models that can be served.

    Example: lrpserve models
    """
    settings = load_settings()
    chosen = find_bundle(settings.model, settings.models)
    found = find_models(settings.models)
    if chosen not in found.values():
        found[settings.model] = chosen
    table = Table("model", "architecture", "classes", "input", "test accuracy", "data", box=None)
    for name, folder in found.items():
        card = read_card(folder)
        test = card.accuracy.get("test")
        accuracy = f"{test.accuracy:.2%} (n={test.n})" if test else "-"
        size = "x".join(str(side) for side in card.input_size)
        mark = " *" if folder == chosen else ""
        table.add_row(
            name + mark,
            card.architecture,
            str(len(card.labels)),
            size,
            accuracy,
            card.provenance.data,
        )
    Console().print(table)


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="Name that the model gets")],
    arch: Annotated[str, typer.Option(help="`resnet50`, `vgg16_bn` ... or your `module:factory`")],
    weights: Annotated[Path, typer.Option(help="The state_dict: .safetensors, .pt or .pth")],
    labels: Annotated[Path, typer.Option(help="One label per line, or a JSON list of them")],
    mean: Annotated[str, typer.Option(help="Of red, green and blue, from 0 to 1")],
    std: Annotated[str, typer.Option(help="Of red, green and blue, from 0 to 1")],
    size: Annotated[str, typer.Option(help="Side of what the network takes, or height x width")],
    resize: Annotated[
        int | None, typer.Option(help="Side that a picture's shorter one gets before `crop`")
    ] = None,
    data: Annotated[str, typer.Option(help="What the network was trained on")] = "unknown",
    force: Annotated[bool, typer.Option("--force", help="Replace the model of that name")] = False,
) -> None:
    """Make a model of weights of your own, in the folder LRPSERVE_MODELS (./models).

    Example: lrpserve import --arch resnet50 --weights resnet50.pth --labels imagenet.txt
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --size 224 --resize 256 resnet50
    """
    from service.commands.verify import check_bundle
    from service.models.importing import Source, import_model, parse_channels, parse_size

    settings = load_settings()
    means, stds = parse_channels("mean", mean), parse_channels("std", std)
    source = Source(name, arch, weights, labels, means, stds, parse_size(size), resize, data)
    imported = import_model(
        source,
        settings.models or Path("models"),
        allowed_modules=settings.architectures,
        force=force,
        verify=check_bundle,
    )
    for note in imported.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"wrote {imported.folder}; serve it with: {imported.how_to_serve()}")


@app.command()
def key() -> None:
    """Make an API key, and print it with its hash: LRPSERVE_API_KEYS takes either.

    Example: lrpserve key
    """
    made = make_key()
    typer.echo(f"{made}\n{hash_key(made)}")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _exit(n_failed: int) -> None:
    if n_failed:
        raise typer.Exit(2)


def run() -> None:
    """Run the command line; errors of ours are one sentence and exit code 2."""
    try:
        app()
    except ServiceError as error:
        typer.echo(f"error: {error.detail}", err=True)
        raise SystemExit(2) from None
