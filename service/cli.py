"""The command line: `lrpserve serve | predict | explain | models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service import __version__
from service.errors import ServiceError
from service.models.registry import find_bundle, find_card, shipped_models
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
) -> None:
    """Serve /predict and /explain over HTTP, until Ctrl-C.

    Example: lrpserve serve --port 8000
    """
    from service.server import serve as run_server  # keeps FastAPI out of the other commands

    run_server(load_settings(**_given(model=model, device=device)), host, port)


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
    from service.offline import Offline, predict_files

    offline = Offline(load_settings(**_given(model=model, device=device)))
    _exit(predict_files(offline, images, _given(top_k=top_k, fit=fit)))


@app.command()
def explain(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that the files are written to")],
    model: Model = None,
    device: Device = None,
    target: Annotated[str | None, _option("Class to explain (the predicted one)")] = None,
    contrast: Annotated[str | None, _option("Class to explain it against")] = None,
    start: Annotated[str | None, _option("`one_hot` (default) or `logit`")] = None,
    composite: Annotated[str | None, _option("The rules (epsilon_plus_flat)")] = None,
    attributor: Annotated[str | None, _option("`gradient`")] = None,
    epsilon: Annotated[str | None, _option("Stabilizer of the epsilon rule (1e-6)")] = None,
    stabilizer: Annotated[str | None, _option("Stabilizer of the other rules (1e-6)")] = None,
    zero_bias: Annotated[str | None, _option("`true`: biases absorb no relevance")] = None,
    layer: Annotated[str | None, _option("`input`")] = None,
    output: Annotated[
        str | None, _option("Of `heatmap` (default), `overlay`, `relevance`; comma-separated")
    ] = None,
    relevance_format: Annotated[str | None, _option("In the JSON: `base64` or `list`")] = None,
    channels: Annotated[str | None, _option("`sum` (default) or `all`")] = None,
    cmap: Annotated[str | None, _option("Colour map (bwr)")] = None,
    size: Annotated[str | None, _option("Side of the pictures in pixels (256)")] = None,
    bound: Annotated[str | None, _option("Relevance with the full colour (the maximum)")] = None,
    top_k: TopK = None,
    fit: Fit = None,
) -> None:
    """Write heatmaps, overlays and relevance of images to a folder; needs no server.

    Example: lrpserve explain cat.jpg -o out --output heatmap,overlay
    """
    options = _given(**{k: v for k, v in locals().items() if k not in _NOT_WIRE_OPTIONS})
    from service.offline import Offline, explain_files

    offline = Offline(load_settings(**_given(model=model, device=device)))
    _exit(explain_files(offline, images, options, out))


_NOT_WIRE_OPTIONS = ("images", "out", "model", "device")


@app.command()
def models() -> None:
    """List the models that can be served.

    Example: lrpserve models
    """
    chosen = load_settings().model
    names = list(shipped_models())
    if find_bundle(chosen) not in shipped_models().values():
        names.append(chosen)
    table = Table("model", "architecture", "classes", "input", "test accuracy", "data", box=None)
    for name in names:
        card = find_card(name)
        test = card.accuracy.get("test")
        accuracy = f"{test.accuracy:.2%} (n={test.n})" if test else "-"
        size = "x".join(str(side) for side in card.input_size)
        mark = " *" if name == chosen else ""
        table.add_row(
            name + mark,
            card.architecture,
            str(len(card.labels)),
            size,
            accuracy,
            card.provenance.data,
        )
    Console().print(table)


def _given(**values: str | None) -> dict[str, str]:
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
