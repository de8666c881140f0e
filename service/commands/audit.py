"""`lrpserve audit`: look for groups of images that a network decides by the wrong thing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from service.batch.explainer import load_engine
from service.commands.batch import INTERRUPTED, interrupted_by_sigterm
from service.errors import OptionError, ServiceError
from service.evaluation.audit.audit import Audit, AuditOptions, StepFn, audit_images
from service.evaluation.audit.clustering import import_sklearn
from service.evaluation.audit.record import to_record
from service.evaluation.audit.report import render_report, shown_clusters
from service.evaluation.audit.sheets import draw_sheet
from service.evaluation.audit.virelay import write_project
from service.evaluation.audit.words import verdict
from service.evaluation.images import load_images
from service.methods import DEFAULT_ATTRIBUTOR, PLAIN, Method, make_method
from service.models.card import ModelCard
from service.runtime.engine import Engine
from service.settings import Settings
from service.terminal import print_line

REPORT, RECORD = "report.html", "audit.json"
_SHEETS, _PROJECT = "sheets", "virelay"


class OutputError(ServiceError):
    """The folder of the results cannot be written."""

    type = "output-error"
    title = "The results cannot be written"


def audit_model(
    settings: Settings, data: Path, out: Path, n_images: int | None, options: AuditOptions
) -> int:
    """Audit a model on a folder of images; returns the exit status.

    Parameters
    ----------
    settings : Settings
        The model and the device.
    data, out : Path
        The images, and the folder of the results.
    n_images : int or None
        How many images at most; None for all.
    options : AuditOptions
        Settings of the audit.
    """
    import_sklearn("sklearn")  # before minutes of work
    try:
        with interrupted_by_sigterm(), _progress() as on_step:
            _make_folder(out)
            engine = load_engine(settings, n_images or sys.maxsize)
            options = replace(options, method=choose_method(engine))
            images = load_images(data, engine.card, n_images, options.seed)
            audit = audit_images(engine, images, options, on_step)
            write_results(audit, engine.card, options, str(data), out)
    except KeyboardInterrupt:
        print_line("interrupted: nothing is written", is_error=True)
        return INTERRUPTED
    for path, reason in images.failed[:20]:
        print_line(f"error: {path}: {reason}", is_error=True)
    print_line(verdict(audit, engine.card.labels))
    print_line(f"written: {out / REPORT}")
    return 0


def choose_method(engine: Engine) -> Method:
    """The model's default method; the plain gradient where no rules fit the network."""
    default = engine.card.default_method
    composite = default.composite if default else None
    attributor = (default.attributor if default else None) or DEFAULT_ATTRIBUTOR
    try:
        method = make_method(
            *(composite, attributor, {}),
            input_size=engine.card.input_size,
            own=engine.own_composites,
        )
        engine.explainer.prepare(method)
    except OptionError:
        return make_method(PLAIN, DEFAULT_ATTRIBUTOR, {})
    return method


def write_results(
    audit: Audit, card: ModelCard, options: AuditOptions, data: str, out: Path
) -> None:
    """Write report, JSON, contact sheets and, with h5py, the project of ViRelAy.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    sheets = [draw_sheet(audit, cluster) for cluster in shown_clusters(audit)]
    record = json.dumps(to_record(audit, card, options), indent=1, ensure_ascii=False)
    try:
        (out / _SHEETS).mkdir(parents=True, exist_ok=True)
        for number, (cluster, sheet) in enumerate(
            zip(shown_clusters(audit), sheets, strict=True), 1
        ):
            name = f"{number:02d}-class-{cluster.label}-{cluster.domain}.png"
            (out / _SHEETS / name).write_bytes(sheet)
        (out / RECORD).write_text(f"{record}\n", encoding="utf-8")
        page = render_report(audit, card, options, data, sheets)
        (out / REPORT).write_text(page, encoding="utf-8")
        if find_spec("h5py") and find_spec("yaml"):
            write_project(audit, card, options, out / _PROJECT)
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror or error}") from error


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[StepFn]:
    """A bar for each step on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _name, _share: None
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        tasks = {}

        def on_step(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=1.0)
            progress.update(tasks[name], completed=share)

        yield on_step
