"""The commands about a model: `verify`, `advise`, `audit`, `models` and `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.cli.arguments import Device, exit_if_failed, given_options
from service.settings import load_settings


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

    exit_if_failed(verify_model(load_settings(**given_options(model=model, device=device))))


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

    settings = load_settings(**given_options(model=model, device=device))
    raise typer.Exit(advise_model(settings, AdviseArguments(data, n, minutes, seed, keep)))


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
    settings = load_settings(**given_options(model=model, device=device))
    raise typer.Exit(audit_model(settings, data, out, n, options))


def models() -> None:
    """List the models that can be served; * marks the default.

    Example: lrpserve models
    """
    from service.commands.models import list_models

    list_models(load_settings())


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
