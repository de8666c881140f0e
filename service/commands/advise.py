"""`lrpserve advise`: compare all methods on a model and on images of the user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from service.batch.errors import OutputError
from service.commands.batch import INTERRUPTED
from service.errors import join_names
from service.evaluation.advice import Advice, ProgressFn, Trial, advise, try_methods
from service.evaluation.candidates import default_candidate, find_candidates
from service.evaluation.costs import Plan, make_plan, measure_costs
from service.evaluation.images import ImagesError, ImageSet, load_images
from service.evaluation.kept import make_evidence
from service.evaluation.perturbed import DECISIVE
from service.evidence.baselines import BASELINES
from service.models.card import CARD_FILE, ModelCard, read_card, write_card
from service.models.evidence import DefaultMethod, Evidence
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.settings import Settings
from service.terminal import print_line, print_table

MIN_IMAGES = 10
_HEADERS = ("method", "gap", "95% interval", "deletion", "insertion", "ms per image", "")
_BAR_S = 2.0  # shorter work needs no bar


@dataclass(frozen=True)
class AdviseArguments:
    """Arguments of the command.

    Attributes
    ----------
    data : Path
        Folder of images.
    n : int
        Images at most.
    minutes : float
        How long it may take.
    seed : int
        Of the choice of images.
    keeps : bool
        Whether the card is written.
    """

    data: Path
    n: int
    minutes: float
    seed: int
    keeps: bool


def advise_model(settings: Settings, arguments: AdviseArguments) -> int:
    """Print the ranking and the composite to set; returns the exit status.

    Raises
    ------
    ServiceError
        The model or the images cannot be used, or the card cannot be written.
    """
    folder = find_bundle(settings.model, settings.models)
    card = read_card(folder)
    try:
        images = _load(card, arguments)
        engine = load_engines(
            *({card.name: folder}, settings.devices[0], settings.architectures),
            measures_batches=False,
        )[card.name]
        plan = _plan(engine, images, arguments)
        pixels = images.pixels[: plan.n_images]
        with _progress(plan) as progress:
            trial = try_methods(engine, pixels, plan, progress=progress)
    except KeyboardInterrupt:
        print_line("interrupted: nothing is kept", is_error=True)
        return INTERRUPTED
    advice = advise(trial.comparison, plan.candidates, default_candidate(engine).name)
    _print(engine, trial, plan, advice)
    if arguments.keeps:
        evidence = make_evidence(engine, trial, _describe(arguments.data), arguments.seed)
        _keep(folder, evidence, advice)
    return 0


def _load(card: ModelCard, arguments: AdviseArguments) -> ImageSet:
    images = load_images(arguments.data, card, arguments.n, arguments.seed)
    if len(images) < MIN_IMAGES:
        raise ImagesError(
            f"{arguments.data} has {len(images)} images; a comparison takes {MIN_IMAGES} or more"
        )
    if images.failed:
        path, reason = images.failed[0]
        print_line(f"left out {len(images.failed)} files; {path}: {reason}", is_error=True)
    return images.shuffled(arguments.seed)  # fewer may be taken, of all folders


def _plan(engine: Engine, images: ImageSet, arguments: AdviseArguments) -> Plan:
    print_line("trying how long each method takes", is_error=True)
    candidates = find_candidates(engine, all_starts=False)
    costs = measure_costs(engine, images.pixels, candidates, DECISIVE)
    plan = make_plan(candidates, costs, len(images), 60 * arguments.minutes)
    n_methods = len(plan.candidates)
    print_line(
        f"{n_methods} methods and {len(BASELINES)} baselines on {plan.n_images} images: about "
        f"{_duration(plan.seconds)} on {engine.device_name}",
        is_error=True,
    )
    if plan.n_images < len(images):
        print_line(
            f"{plan.n_images} images in place of {len(images)}, to stay within "
            f"{arguments.minutes:g} minutes: --minutes allows more",
            is_error=True,
        )
    if plan.left_out:
        names = join_names([one.name for one in plan.left_out])
        print_line(f"left out, as they take too long: {names}", is_error=True)
    return plan


@contextmanager
def _progress(plan: Plan) -> Iterator[ProgressFn | None]:
    if not sys.stderr.isatty() or plan.seconds < _BAR_S:
        yield None
        return
    columns = (
        TextColumn("{task.description:25}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("images", total=plan.seconds)
        yield partial(_advance, bar, task)


def _advance(bar: Progress, task: object, name: str, seconds: float) -> None:
    bar.update(task, advance=seconds, description=name)  # type: ignore[arg-type]  # a TaskID


def _print(engine: Engine, trial: Trial, plan: Plan, advice: Advice) -> None:
    comparison = trial.comparison
    best = {comparison.names[0], *comparison.ties_with(comparison.names[0])}
    rows = []
    for name, interval in zip(comparison.names, comparison.intervals, strict=True):
        curves = trial.curves[name]
        cost_s = plan.costs.explain_s.get(name)
        rows.append(
            (
                f"{name} (baseline)" if name in BASELINES else name,
                f"{interval.mean:.3f}",
                f"{interval.low:.3f} to {interval.high:.3f}",
                f"{float(curves.deletion.mean()):.3f}",
                f"{float(curves.insertion.mean()):.3f}",
                "" if cost_s is None else f"{1000 * cost_s:.3g}",
                "best, or not significantly different" if name in best else "",
            )
        )
    print_line(
        f"{engine.card.name}, {comparison.n} images, hidden in patches of "
        f"{trial.setting.grid(*engine.card.input_size).side} pixels by a blur:"
    )
    print_table(_HEADERS, rows)
    print_line("\n".join(advice.sentences))
    if advice.composite is not None:
        print_line(f"composite: {advice.composite}")


def _keep(folder: Path, evidence: Evidence, advice: Advice) -> None:
    card = read_card(folder)
    update: dict[str, object] = {"evidence": evidence}
    if advice.composite is not None:
        update["default_method"] = DefaultMethod(composite=advice.composite)
    try:
        write_card(folder, card.model_copy(update=update))
    except OSError as error:
        raise OutputError(f"cannot write {folder / CARD_FILE}: {error.strerror}") from error
    print_line(
        f"written: {folder / CARD_FILE}; a server that runs has it after a reload", is_error=True
    )


def _describe(data: Path) -> str:
    return data.resolve().name


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
