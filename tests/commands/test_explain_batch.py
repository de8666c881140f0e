"""`lrpserve explain --input`: its arguments, errors and exit status; interruption of a process."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from service.batch.explainer import load_engine
from service.commands.batch import interrupted_by_sigterm
from service.runtime.engine import Engine
from tests.commands.command_line import Lrpserve, assert_one_sentence
from tests.helpers.conditions import wait_until


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """The engine that other tests use, as loading takes seconds."""
    monkeypatch.setattr(
        f"service.commands.batch.{load_engine.__name__}", lambda settings, n_images: engine
    )


def test_an_image_that_fails_is_a_row_a_count_and_a_status(
    lrpserve: Lrpserve, photos: Path, tmp_path: Path
) -> None:
    done = lrpserve("explain", "--input", photos, "--output", tmp_path / "x.parquet")
    assert done.code == 2
    first, last = done.err.strip().splitlines()
    assert first.startswith("error: a/text.jpg: ")
    assert last.startswith("3 of 4 images explained, 1 failed")
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    paths = ["a/cat.jpg", "a/ship.jpg", "a/text.jpg", "b/cat.jpg"]
    assert [row["path"] for row in rows] == paths
    assert [row["error_type"] for row in rows] == [None, None, "not-an-image", None]


def test_the_files_are_those_of_single_images(
    lrpserve: Lrpserve, photos: Path, tmp_path: Path
) -> None:
    (photos / "a" / "text.jpg").unlink()
    options = ("--output", "heatmap,relevance,evidence", "--composite", "epsilon_plus")
    assert lrpserve("explain", photos / "b" / "cat.jpg", "-o", tmp_path / "one", *options).code == 0
    given = ("--input", photos / "b", "--out", tmp_path / "many")
    assert lrpserve("explain", *given, *options).code == 0
    for suffix in (".json", ".heatmap.png", ".npy"):
        one = (tmp_path / "one" / f"cat{suffix}").read_bytes()
        assert (tmp_path / "many" / f"cat.jpg{suffix}").read_bytes() == one
    assert (tmp_path / "many" / "errors.jsonl").read_bytes() == b""


def test_the_same_command_again_does_nothing_and_others_are_refused(
    lrpserve: Lrpserve, photos: Path, tmp_path: Path
) -> None:
    (photos / "a" / "text.jpg").unlink()
    command = ("explain", "--input", photos, "--output", tmp_path / "x.zarr")
    assert lrpserve(*command).code == 0
    again = lrpserve(*command)
    assert again.code == 0
    assert "resumed: 3 of 3 images are done" in again.err
    assert_one_sentence(lrpserve(*command, "--fit", "pad"), 'fit was "crop", and is now "pad"')


def test_a_list_comes_from_standard_input(
    lrpserve: Lrpserve, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.TextIOWrapper(io.BytesIO(f"{photos}/b/cat.jpg\n{photos}/a/ship.jpg\n".encode()))
    monkeypatch.setattr(sys, "stdin", lines)
    done = lrpserve("explain", "--input", "-", "--output", tmp_path / "x.parquet")
    assert done.code == 0
    assert pq.read_table(tmp_path / "x.parquet").column("index").to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--input", "d"), "say where the results go"),
        (("--input", "d", "--output", "heatmap"), "give --out too"),
        (("--input", "d", "--output", "x", "--format", "hdf5"), "files, parquet, zarr, virelay"),
        (("--input", "d", "--out", "x.zarr", "--output", "heatmap"), "relevance only"),
        (("--input", "missing", "--output", "x"), "there is no file or folder missing"),
        (("--input", "broken.parquet", "--output", "x"), "cannot be read as Parquet"),
        (("--input", "d", "--output", "x", "--targets", "cat,dog"), "repeat the option"),
        (("--input", "d", "--output", "x"), "no images"),
        (("--input", "d", "--output", "x", "--column", "y"), "is for Parquet"),
        (("--input", "d", "--output", "x.virelay", "--layer", "features.3"), "must be input"),
        (("--input", "d", "--output", "x", "--composite", "none at all"), "composite"),
        (("cat.jpg", "--input", "d", "--output", "x"), "either image files or --input"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    lrpserve: Lrpserve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("broken.parquet").write_bytes(b"PAR")
    assert_one_sentence(lrpserve("explain", *arguments), said)
    assert {path.name for path in tmp_path.iterdir()} == {"d", "broken.parquet"}


def test_options_of_batch_jobs_need_an_input(lrpserve: Lrpserve) -> None:
    done = lrpserve("explain", "cat.jpg", "-o", "out", "--format", "parquet")
    assert done.code == 2
    assert "need --input" in done.err


def test_sigterm_interrupts_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_process_that_is_interrupted_says_how_to_go_on(
    tmp_path: Path, samples: list[Path]
) -> None:
    paths = tmp_path / "paths.txt"  # far more than are explained before the signal comes
    n_images = 20_000
    paths.write_text("".join(f"{samples[i % len(samples)]}\n" for i in range(n_images)))
    output = tmp_path / "x.parquet"
    command = [str(Path(sys.executable).parent / "lrpserve"), "explain", "--part-size", "8"]
    arguments = ["--input", str(paths), "--output", str(output)]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        wait_until((output / "part-00000001.parquet").exists)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "the same command goes on" in said
    n_lines = len((tmp_path / "x.parquet.job" / "parts.jsonl").read_text().splitlines())
    assert n_lines == len(list(output.glob("*.parquet"))) < n_images / 8
    rows = np.concatenate([pq.read_table(part)["index"] for part in sorted(output.iterdir())])
    assert rows.tolist() == list(range(8 * n_lines))
    assert json.loads((tmp_path / "x.parquet.job" / "job.json").read_text())["part_size"] == 8
