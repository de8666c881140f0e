"""The commands that take images: `predict` and `explain`, without a server."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.cli.arguments import (
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
    exit_if_failed,
    given_options,
    option,
    with_parameters,
)
from service.methods import ATTRIBUTORS, COMPOSITES, DEFAULT_ATTRIBUTOR, DEFAULT_COMPOSITE
from service.settings import load_settings


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

    offline = Offline(load_settings(**given_options(model=model, device=device)), len(images))
    exit_if_failed(predict_files(offline, images, given_options(top_k=top_k, fit=fit)))


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
    options = given_options(**given, **parameters)
    settings = load_settings(**given_options(model=model, device=device))
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

    exit_if_failed(explain_files(Offline(settings, len(paths)), paths, options, folder))


_NOT_WIRE_OPTIONS = (
    *("images", "out", "input_", "format_", "column", "part_size", "ray_actors", "ray_gpus"),
    *("model", "device", "parameters"),
)
