"""The command `python -m training claims`: measure, judge, draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from service.models.bundles import Bundle
from service.terminal import print_line, print_table
from training.claims.focus import HIDDEN_SHARE, MIN_PATCHES, N_RANDOM, PATCH_SIDE
from training.claims.masks import GrabCut, import_cv2
from training.claims.measured import measure_kept
from training.claims.pages import draw_all
from training.claims.pasting import MARGIN
from training.claims.results import HEADERS, read_claim, verdict_row, write_results
from training.claims.sample import Sample, take_sample
from training.claims.sheet import Marks, draw_sheet, read_marks
from training.claims.subject import Subject
from training.data import DataSet
from training.evaluate import checked_test
from training.hardware import describe_hardware, library_versions

MASKS_FILE = "masks.npz"
NETWORKS_FOLDER = "networks"


def check_claims(
    bundles: Sequence[Bundle],
    data: DataSet,
    out: Path,
    per_class: int,
    marks_file: Path | None = None,
    added_files: Sequence[Path] = (),
) -> None:
    """Measure the claims on networks, and write `claims.json`, `claims.md` and pictures.

    Masks and networks that are in `out` already are not computed again.

    Parameters
    ----------
    bundles : sequence of Bundle
        Networks of one recipe with different seeds, so that the spread is that of the recipe.
    data : DataSet
        Its test split is explained.
    out : Path
        A folder, created if missing.
    per_class : int
        Images of each class.
    marks_file : Path, optional
        Masks that were looked at, see `sheet.read_marks`.
    added_files : sequence of Path
        Results of claims that other commands measure, see `results.read_claim`.

    Raises
    ------
    DataError
        The classes of the data are not the labels of a bundle.
    """
    marks = read_marks(marks_file) if marks_file else None
    added = [read_claim(path) for path in added_files]
    for bundle in bundles:
        checked_test(bundle, data)
    out.mkdir(parents=True, exist_ok=True)
    print_line("masks of objects")
    settings = GrabCut()
    sample = take_sample(data.test, per_class, settings, out / MASKS_FILE)
    draw_sheet(sample, bundles[0].card.labels, out / "masks.png")
    good = marks.is_good(sample) if marks else None
    networks = measure_kept(bundles, sample, good, out / NETWORKS_FOLDER, print_line)
    described = _describe(data, sample, settings, marks)
    claims = write_results(networks, described, added, out)
    draw_all(Subject.of(bundles[0]), sample, networks, out)
    print_table(HEADERS, map(verdict_row, claims))


def _describe(
    data: DataSet, sample: Sample, settings: GrabCut, marks: Marks | None
) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "data": data.description,
        "n_images": len(sample),
        "n_rejected_masks": sample.n_rejected,
        "masks": asdict(settings),
        "good_masks": None
        if marks is None
        else {"n_marked": len(marks.good + marks.bad), "share": marks.share_of_good},
        "patches": {
            "side": PATCH_SIDE,
            "hidden_share": HIDDEN_SHARE,
            "min_patches": MIN_PATCHES,
            "random_orders": N_RANDOM,
        },
        "background_margin_px": MARGIN,
        "hardware": describe_hardware(torch.device("cpu")),
        "versions": library_versions() | {"opencv": str(import_cv2().__version__)},
    }
