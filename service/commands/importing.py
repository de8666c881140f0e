"""`lrpserve import`: a bundle from the user's weights."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from service.models.card import ModelCard
from service.models.source import Source, check_source
from service.settings import Settings
from service.terminal import print_line

_SHOWN_NOTES = 20


def import_source(source: Source, settings: Settings, *, force: bool) -> None:
    """Make a bundle, and print how to serve it.

    Raises
    ------
    ServiceError
        The files do not make a model, or its relevance differs from the reference.
    """
    folder = settings.models or Path("models")
    # loading torch takes seconds: what is wrong with names and files is said before
    check_source(source, folder, allowed_modules=settings.architectures, force=force)
    from service.commands.verify import check_bundle
    from service.models.importing import import_model

    imported = import_model(
        source,
        folder,
        allowed_modules=settings.architectures,
        force=force,
        verify=check_bundle,
    )
    _print_notes(imported.notes)
    serve = serve_command(folder, imported.card, sys.argv[0])
    print_line(f"wrote {imported.folder}; serve it with: {serve}")


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes[:_SHOWN_NOTES]:
        print_line(f"note: {note}", is_error=True)
    if len(notes) > _SHOWN_NOTES:
        print_line(f"note: and {len(notes) - _SHOWN_NOTES:,} more labels", is_error=True)


def serve_command(folder: Path, card: ModelCard, program: str) -> str:
    """The shell command that serves an imported model.

    Parameters
    ----------
    folder : Path
        Folder of models.
    card : ModelCard
        The model.
    program : str
        The running `lrpserve`: named by its path where the shell would find another, or none.
    """
    found = shutil.which("lrpserve")
    is_on_path = found is not None and Path(found).resolve() == Path(program).resolve()
    values = {"MODELS": str(folder), "MODEL": card.name}
    module, colon, _ = card.architecture.partition(":")
    if colon:
        values["ARCHITECTURES"] = module
    given = " ".join(f"LRPSERVE_{key}={shlex.quote(value)}" for key, value in values.items())
    return f"{given} {'lrpserve' if is_on_path else shlex.quote(program)} serve"
