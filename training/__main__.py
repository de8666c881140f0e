"""Command line of training: `python -m training train | evaluate | report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.errors import ServiceError
from service.models.bundles import read_bundle
from service.models.card import check_name
from service.runtime.device import open_device
from service.terminal import print_line
from training.checkpoints import open_run
from training.config import RECIPES
from training.data import load_data
from training.evaluate import evaluate as evaluate_bundle
from training.evaluate import keep_evaluation, print_table, write_evaluation
from training.report import write_report
from training.train import Trainer

app = typer.Typer(
    help="Train and evaluate networks for lrpserve.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


CACHE = Path("data")  # where the original CIFAR-10 is kept
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle")]
Data = Annotated[str, typer.Option(help="`cifar10`, or a folder of images")]


@app.callback()
def main() -> None:
    """Train and evaluate networks for lrpserve."""


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run")],
    recipe: Annotated[str, typer.Option(help=f"One of: {', '.join(RECIPES)}")] = "strong",
    name: Annotated[str, typer.Option(help="Name of the model")] = "minivgg-cifar10",
    describe: Annotated[str, typer.Option(help="Description of the data, for the card")] = "",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of weights, split and augmentation")
    ] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda:0`")] = "auto",
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint")] = False,
) -> None:
    """Train a network and write a bundle to OUT/bundle.

    Example: python -m training train --data cifar10 --out runs/strong
    """
    if recipe not in RECIPES:
        raise typer.BadParameter(f"{recipe!r} is not a recipe; there are: {', '.join(RECIPES)}")
    check_name(name)
    opened = open_device(device)
    open_run(out, resume=resume)
    loaded = load_data(data, CACHE)
    trainer = Trainer(RECIPES[recipe], loaded, opened, seed)
    if resume:
        trainer.resume(out)
    try:
        trainer.fit(out)
    except KeyboardInterrupt:
        kept = f"{trainer.epoch} epochs are kept in {out}: add --resume"
        typer.echo(f"stopped; {kept if trainer.epoch else 'no epoch was finished'}", err=True)
        raise typer.Exit(130) from None
    card = trainer.finish(out / "bundle", name, describe or loaded.description)
    for split, measured in card.accuracy.items():
        typer.echo(f"{split}: {measured.accuracy:.2%} of {measured.n} images")
    typer.echo(f"bundle: {out / 'bundle'}")


@app.command()
def evaluate(
    bundle: BundleFolder,
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json and confusion.png")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write the results into the bundle's card, too")
    ] = False,
) -> None:
    """Evaluate a bundle on the test set: accuracy, accuracy per class, confusion matrix.

    Example: python -m training evaluate runs/strong/bundle --data cifar10
    """
    loaded = read_bundle(bundle)
    evaluation = evaluate_bundle(loaded, load_data(data, CACHE, loaded.card.input_size))
    print_table(evaluation)
    folder = out or bundle.resolve().parent / "evaluation"
    title = f"{loaded.card.name}: {evaluation.accuracy:.2%} of {evaluation.n} test images"
    write_evaluation(evaluation, title, folder)
    if keep:
        keep_evaluation(evaluation, bundle)
    typer.echo(f"written: {folder}")


@app.command()
def report(
    bundle: BundleFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the pages")],
) -> None:
    """Render explained predictions of every class, and the relevance by layer.

    Example: python -m training report runs/strong/bundle --data cifar10 --out report
    """
    loaded = read_bundle(bundle)
    pages = write_report(loaded, load_data(data, CACHE, loaded.card.input_size), out)
    typer.echo(f"{len(pages)} pages: {out}")


def run() -> None:
    """Run the command line; a `ServiceError` is printed as a sentence, with exit code 2."""
    try:
        app()
    except ServiceError as error:
        print_line(f"error: {error.detail}", is_error=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    run()
