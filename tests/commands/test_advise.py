"""`lrpserve advise`: a ranking, the composite to set, and the card that it writes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image

from service.models.card import CARD_FILE, read_card
from service.models.evidence import DefaultMethod
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL
from tests.commands.command_line import Lrpserve, assert_one_sentence
from tests.conftest import SAMPLES


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The shipped bundle, which may be changed."""
    return Path(shutil.copytree(find_bundle(DEFAULT_MODEL), tmp_path / "bundle"))


@pytest.mark.slow
def test_advise_ranks_methods_and_keeps_the_best(lrpserve: Lrpserve, bundle: Path) -> None:
    done = lrpserve(
        *("advise", str(bundle), "--data", str(SAMPLES)),
        *("--n", "16", "--minutes", "0.1", "--keep"),
    )
    assert done.code == 0
    assert "baselines on" in done.err
    assert "gap" in done.out
    card = read_card(bundle)
    assert card.evidence is not None
    assert list(card.evidence.methods)[-1] not in card.evidence.best
    assert card.evidence.data == "samples"
    chosen = done.out.splitlines()[-1].removeprefix("composite: ")
    assert card.default_method == DefaultMethod(composite=chosen)
    assert any(line.split()[:1] == [chosen] for line in done.out.splitlines())


@pytest.mark.slow
def test_without_keep_the_card_stays(lrpserve: Lrpserve, bundle: Path, tmp_path: Path) -> None:
    before = (bundle / CARD_FILE).read_bytes()
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(SAMPLES.glob("*/*.jpg"))[::20]:
        shutil.copy(path, images / f"{path.parent.name}.jpg")
    done = lrpserve("advise", str(bundle), "--data", str(images), "--minutes", "0.1")
    assert done.code == 0
    assert (bundle / CARD_FILE).read_bytes() == before


@pytest.mark.slow
def test_ctrl_c_ends_it_with_one_sentence() -> None:
    command = (str(Path(sys.executable).parent / "lrpserve"), "advise", DEFAULT_MODEL)
    process = subprocess.Popen(
        (*command, "--data", str(SAMPLES)), stdout=PIPE, stderr=PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("trying how long")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "interrupted: nothing is kept"
    assert "Traceback" not in err


def test_bad_input_is_one_sentence(lrpserve: Lrpserve, tmp_path: Path) -> None:
    missing = lrpserve("advise", DEFAULT_MODEL, "--data", str(tmp_path / "none"))
    assert_one_sentence(missing, "there is no folder")
    assert_one_sentence(lrpserve("advise", DEFAULT_MODEL, "--data", str(tmp_path)), "no images")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "one.png")
    few = lrpserve("advise", DEFAULT_MODEL, "--data", str(tmp_path))
    assert_one_sentence(few, "has 1 images; a comparison takes 10 or more")
    assert_one_sentence(lrpserve("advise", "magic", "--data", str(tmp_path)), "no model 'magic'")
