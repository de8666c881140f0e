"""The command: `python -m tools.release` builds packages, chart, SBOMs, checksums and the image."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from service import __version__
from tools.release.checksums import write_checksums
from tools.release.image import build_image
from tools.release.packages import build_chart, build_packages
from tools.release.process import CommandFailed, commit_time, uncommitted
from tools.release.sbom import write_sbom

ROOT = Path(__file__).parents[2]

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder that is made anew")] = ROOT / "dist",
    image: Annotated[bool, typer.Option(help="Build the image, where an engine can")] = True,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Build from files that are not committed")
    ] = False,
) -> None:
    """Build a release into a folder."""
    changed = uncommitted(ROOT)
    if changed and not allow_dirty:
        _fail(f"{changed[0]} is not committed: commit first, or add --allow-dirty")
    try:
        _build(out, with_image=image)
    except CommandFailed as error:
        _fail(str(error))


def _build(out: Path, *, with_image: bool) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    epoch = commit_time(ROOT)
    build_packages(ROOT, out, epoch)
    build_chart(ROOT, out, epoch)
    for project in ("lrpserve", "lrpserve-client"):
        write_sbom(ROOT, project, out / f"{project}-{__version__}.cdx.json", epoch)
    for line in write_checksums(out):
        typer.echo(line)
    if with_image:
        typer.echo(build_image(ROOT, f"lrpserve:{__version__}"), err=True)


def _fail(reason: str) -> None:
    typer.echo(f"error: {reason}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
