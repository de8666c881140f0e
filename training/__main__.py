"""Command line of training: `python -m training train | evaluate | ...`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from service.errors import ServiceError
from service.models.builtin import check_architecture
from service.models.bundles import read_bundle
from service.models.card import check_name
from service.runtime.device import open_device
from service.terminal import print_line
from training.checkpoints import open_run
from training.claims.command import check_claims
from training.config import RECIPES
from training.data import load_data
from training.evaluate import evaluate as evaluate_bundle
from training.evaluate import keep_evaluation, print_table, write_evaluation
from training.faithfulness.cli import faithfulness
from training.ground_truth.experiment import run_experiment
from training.ground_truth.scores import Sizes
from training.ground_truth.variants import VARIANTS
from training.labels.cli import labels
from training.report import write_report
from training.seeds import draw_seeds, read_run, summarize
from training.train import Trainer

app = typer.Typer(
    help="Train and evaluate networks for lrpserve.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
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
    architecture: Annotated[
        str, typer.Option(help="`minivgg`, `resnet18-32`, or a network of torchvision")
    ] = "minivgg",
    name: Annotated[str, typer.Option(help="Name of the model")] = "minivgg-cifar10",
    describe: Annotated[str, typer.Option(help="Description of the data, for the card")] = "",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of weights, split and augmentation")
    ] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda:0`")] = "auto",
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint")] = False,
    minutes: Annotated[
        float, typer.Option(min=0, help="Stop after so many, with exit code 75; --resume goes on")
    ] = math.inf,
) -> None:
    """Train a network and write a bundle to OUT/bundle.

    Example: python -m training train --data cifar10 --out runs/strong
    """
    if recipe not in RECIPES:
        raise typer.BadParameter(f"{recipe!r} is not a recipe; there are: {', '.join(RECIPES)}")
    check_name(name)
    check_architecture(architecture)
    opened = open_device(device)
    open_run(out, resume=resume)
    loaded = load_data(data, CACHE)
    trainer = Trainer(RECIPES[recipe], loaded, opened, seed, architecture)
    if resume:
        trainer.resume(out)
    try:
        is_finished = trainer.fit(out, minutes)
    except KeyboardInterrupt:
        raise _stopped(trainer, out, 130) from None
    if not is_finished:
        raise _stopped(trainer, out, TRY_AGAIN)
    card = trainer.finish(out / "bundle", name, describe or loaded.description)
    for split, measured in card.accuracy.items():
        typer.echo(f"{split}: {measured.accuracy:.2%} of {measured.n} images")
    typer.echo(f"bundle: {out / 'bundle'}")


def _stopped(trainer: Trainer, run: Path, code: int) -> typer.Exit:
    kept = f"{trainer.saved_step} of {trainer.n_steps} steps are kept in {run}: add --resume"
    typer.echo(f"stopped; {kept if trainer.saved_step else 'nothing is kept yet'}", err=True)
    return typer.Exit(code)


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


@app.command()
def seeds(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs")],
    out: Annotated[Path, typer.Option(help="Picture of the curves of all runs, PNG")],
) -> None:
    """Print mean and spread of the accuracy over runs that differ by their seeds, and draw them.

    Example: python -m training seeds runs/fast-0 runs/fast-1 runs/fast-2 --out curves.png
    """
    found = [read_run(run) for run in runs]
    for (recipe, architecture), spreads in summarize(found).items():
        for split, spread in spreads.items():
            typer.echo(f"{recipe}, {architecture}, {split}: {spread}")
    draw_seeds(found, out)
    typer.echo(f"written: {out}")


@app.command("ground-truth")
def ground_truth(
    out: Annotated[Path, typer.Option(help="Folder of networks and results; goes on if it exists")],
    variant: Annotated[
        list[str] | None,
        typer.Option(help=f"One or more of: {', '.join(VARIANTS)}; all by default"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of networks of each variant")] = 3,
    n: Annotated[int, typer.Option(min=2, help="Images for methods of one pass")] = 500,
    n_sampled: Annotated[int, typer.Option(min=2, help="Images for methods of many passes")] = 100,
    architecture: Annotated[
        str, typer.Option(help="`minivgg`, `resnet18-32`, or a network of torchvision")
    ] = "minivgg",
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda:0`")] = "auto",
) -> None:
    """Score every method on images of which it is known which object decides.

    Example: python -m training ground-truth --out runs/ground-truth
    """
    chosen = variant or list(VARIANTS)
    if unknown := sorted(set(chosen) - set(VARIANTS)):
        raise typer.BadParameter(
            f"{unknown[0]!r} is not a variant; there are: {', '.join(VARIANTS)}"
        )
    check_architecture(architecture)
    out.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(controls=2 * n, one_pass=n, sampled=min(n, n_sampled))
    opened = open_device(device)
    written = run_experiment(
        *(out, chosen, range(seeds), sizes, opened, typer.echo), architecture=architecture
    )
    typer.echo(f"written: {written}")


@app.command()
def claims(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles of one recipe, by seed")
    ],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for claims.json, tables and pictures")],
    images: Annotated[int, typer.Option(min=1, help="Test images of each class")] = 100,
    marks: Annotated[
        Path | None, typer.Option(help="Masks found good or bad by eye, as in docs/evidence")
    ] = None,
    add: Annotated[
        list[Path] | None, typer.Option(help="Result of a claim that another command measured")
    ] = None,
) -> None:
    """Check what is said about networks: that they look at the object, ignore the background ...

    Example: python -m training claims runs/strong/bundle --data cifar10 --out claims
    """
    loaded = [read_bundle(bundle) for bundle in bundles]
    data_set = load_data(data, CACHE, loaded[0].card.input_size)
    check_claims(loaded, data_set, out, images, marks, add or ())
    typer.echo(f"written: {out}")


@app.command()
def audit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for networks and results")],
    clean: Annotated[
        list[Path] | None, typer.Option(help="Bundle without artefacts; repeat it for several")
    ] = None,
    recipe: Annotated[str, typer.Option(help=f"One of: {', '.join(RECIPES)}")] = "brief",
    begin: Annotated[
        Path | None, typer.Option(help="Bundle whose weights training begins with")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Planted networks")] = 3,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Part of a class that gets an artefact")
    ] = 0.5,
    n: Annotated[int, typer.Option(min=20, help="Test images of each class")] = 100,
) -> None:
    """Calibrate `lrpserve audit`: train networks with artefacts, and see which it finds.

    Example: python -m training audit --data cifar10 --out runs/audit
    """
    from training.clever_hans.run import RESULT, Plan, calibrate_audit

    if recipe not in RECIPES:
        raise typer.BadParameter(f"{recipe!r} is not a recipe; there are: {', '.join(RECIPES)}")
    loaded = load_data(data, CACHE)
    begun = None if begin is None else read_bundle(begin)
    plan = Plan(RECIPES[recipe], seeds, share, n, begun)
    result = calibrate_audit(loaded, plan, clean or [], out)
    for name in ("precision", "recall"):
        rate = result[name]
        low, high = rate["interval"]
        typer.echo(f"{name}: {rate['hits']} of {rate['n']} (95% from {low:.0%} to {high:.0%})")
    typer.echo(f"written: {out / RESULT}")


app.command()(faithfulness)
app.command()(labels)


def run() -> None:
    """Run the command line; what cannot be done is told in a sentence, with exit code 2."""
    try:
        app()
    except ServiceError as error:
        print_line(f"error: {error.detail}", is_error=True)
        raise SystemExit(2) from None
    except OSError as error:  # results are written at many places
        if error.filename is None:
            raise
        print_line(f"error: cannot use {error.filename}: {error.strerror}", is_error=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    run()
