"""Batch jobs beside their engine: images per second of both, in turns, and the memory of a job.

Run by `python -m benchmarks.batch_jobs`. The engine gets images that are decoded already, in
batches of the size that the job uses; the job reads files, decodes, explains, and writes.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.attribution import machine
from benchmarks.networks import make_bundle
from benchmarks.payloads import PHOTO
from service.batch.explainer import BatchExplainer, load_engine
from service.batch.images import ImageResult
from service.batch.job import BatchJob
from service.batch.journal import Journal
from service.batch.sources import FolderSource
from service.imaging.fit import FittedImage
from service.runtime.cores import set_wait_policy
from service.settings import DEFAULT_MODEL, load_settings

GOAL = 0.9
THUMBNAILS = PHOTO.parent.parent / "tests" / "samples"
PHOTO_SIZE = (500, 375)
_MAX_PIXELS = 40_000_000
console = Console()


class _Silent:
    def begin(self, n_images: int, n_done: int, n_failed: int) -> None:
        """Show nothing."""

    def advance(self, results: Sequence[ImageResult]) -> None:
        """Show nothing."""


def write_images(folder: Path, n_images: int, *, are_photos: bool) -> None:
    """Write JPEGs: photos of 500 x 375 pixels, or the samples of 32 x 32."""
    folder.mkdir()
    files = [path.read_bytes() for path in sorted(THUMBNAILS.glob("*/*.jpg"))]
    if are_photos:
        buffer = io.BytesIO()
        Image.open(PHOTO).convert("RGB").resize(PHOTO_SIZE).save(buffer, "JPEG", quality=90)
        files = [buffer.getvalue()]
    for index in range(n_images):
        (folder / f"{index:07d}.jpg").write_bytes(files[index % len(files)])


def engine_rate(explainer: BatchExplainer, images: Sequence[FittedImage]) -> float:
    """Images per second of the engine alone."""
    size = explainer.batch_size
    began = time.perf_counter()
    for first in range(0, len(images), size):
        explainer.explain(images[first : first + size])
    return len(images) / (time.perf_counter() - began)


def job_rate(explainer: BatchExplainer, folder: Path, output: Path, format_name: str) -> float:
    """Images per second of a job, from the listing of its folder to its last file."""
    journal = Journal(output)

    def open_source(state: Path) -> FolderSource:
        return FolderSource(folder, state, explainer.engine.card.labels, output)

    job = BatchJob(explainer, journal, open_source, format_name)
    began = time.perf_counter()
    summary = job.run(_Silent())
    journal.close()
    return summary.n_images / (time.perf_counter() - began)


def measure_rates(
    model: str, n_images: int, n_turns: int, format_name: str, work: Path, *, are_photos: bool
) -> tuple[list[float], list[float]]:
    """Rates of the engine and of the job, turn by turn."""
    output = "heatmap,overlay" if format_name == "files" else "relevance"
    engine = load_engine(load_settings(model=model), n_images)
    explainer = BatchExplainer.of_options(engine, {"output": output}, _MAX_PIXELS)
    folder = work / "images"
    write_images(folder, n_images, are_photos=are_photos)
    loaded = [explainer.load(path) for path in sorted(folder.iterdir())]
    images = [one[0] for one in loaded if isinstance(one, tuple)]
    rates: tuple[list[float], list[float]] = ([], [])
    turns: tuple[Callable[[int], float], ...] = (
        lambda turn: engine_rate(explainer, images),
        lambda turn: job_rate(explainer, folder, work / f"output-{turn}", format_name),
    )
    job_rate(explainer, folder, work / "warm-up", format_name)  # loads libraries
    for turn in range(n_turns):
        for kind in (0, 1) if turn % 2 else (1, 0):
            rates[kind].append(turns[kind](turn))
    return rates


def peak_memory_mb(n_images: int, work: Path) -> float:
    """The largest resident memory of a job of so many thumbnails, as a process of its own."""
    folder = work / f"images-{n_images}"
    write_images(folder, n_images, are_photos=False)
    command = [str(Path(sys.executable).parent / "lrpserve"), "explain", "--input", str(folder)]
    code = (
        "import resource, subprocess, sys; "
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    output = str(work / f"memory-{n_images}.parquet")
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", code, *command, "--output", output],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


def main(
    thumbnails: Annotated[int, typer.Option(help="Images of 32 x 32 in a turn")] = 2048,
    photos: Annotated[int, typer.Option(help="Photos of 500 x 375 in a turn")] = 64,
    turns: Annotated[int, typer.Option(help="Turns of each")] = 5,
    formats: Annotated[str, typer.Option(help="Of the output, comma-separated")] = "parquet",
    memory: Annotated[str, typer.Option(help="Numbers of images, comma-separated")] = "",
) -> None:
    """Measure, and print tables."""
    set_wait_policy()
    console.print(machine())
    table = Table("network", "output", "engine, per second", "job, per second", "job / engine")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "resnet18"
        make_bundle("resnet18", bundle)
        cases = [(DEFAULT_MODEL, thumbnails, False), (str(bundle), photos, True)]
        for model, n_images, are_photos in cases if turns else ():
            for name in formats.split(","):
                with tempfile.TemporaryDirectory() as work:
                    engine, job = measure_rates(
                        model, n_images, turns, name, Path(work), are_photos=are_photos
                    )
                ratios = [one / other for one, other in zip(job, engine, strict=True)]
                table.add_row(
                    *(Path(model).name, name, _listed(engine), _listed(job)),
                    f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                )
        console.print(table)
        for n_images in map(int, filter(None, memory.split(","))):
            console.print(f"{n_images:,} images: {peak_memory_mb(n_images, Path(folder)):.0f} MB")


def _listed(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.3g}" for rate in rates)


if __name__ == "__main__":
    typer.run(main)
