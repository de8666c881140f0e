"""A model of the user's own weights: made as a whole, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.models import resnet18

from service.errors import BundleError, OptionError
from service.models.bundles import Bundle, read_bundle
from service.models.card import CARD_FILE, ImportedProvenance
from service.models.importing import import_model
from service.models.registry import find_bundle, find_models
from service.models.source import Source, parse_channels, parse_size
from service.settings import DEFAULT_MODEL

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

OWN_CODE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(3, num_classes)

    def forward(self, images):
        return self.linear(images.mean((2, 3)))

class Flat(Tiny):
    def forward(self, images):
        return super().forward(images)[0]

class Pair(Tiny):
    def forward(self, images):
        return super().forward(images), None

class Infinite(Tiny):
    def forward(self, images):
        return super().forward(images) / 0

class Standardizing(Tiny):
    def forward(self, images):
        logits = super().forward(images)
        return (logits - logits.mean(0)) / logits.std(0, correction=0)

class Failing(Tiny):
    def forward(self, images):
        raise RuntimeError("first line\\nsecond line")
"""


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """A resnet18 that was never trained."""
    torch.manual_seed(0)
    return resnet18(weights=None, num_classes=3).eval()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, resnet: nn.Module) -> Path:
    """Its weights, and three labels."""
    folder = tmp_path_factory.mktemp("files")
    torch.save(resnet.state_dict(), folder / "weights.pth")
    (folder / "labels.txt").write_text("cat\ncrane\ncrane\n")
    return folder


@pytest.fixture
def source(files: Path) -> Source:
    return Source(
        "mine",
        "resnet18",
        files / "weights.pth",
        files / "labels.txt",
        MEAN,
        STD,
        (48, 64),
        resize=72,
        data="pictures of mine",
    )


@pytest.fixture
def own(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A network of the user's own code, and its weights."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own_nets.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    torch.save({"linear.weight": torch.ones(3, 3), "linear.bias": torch.ones(3)}, tmp_path / "o.pt")
    return replace(source, architecture="own_nets:Tiny", weights=tmp_path / "o.pt")


def everything_in(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def test_a_resnet_becomes_a_bundle_that_computes_the_same(
    source: Source, tmp_path: Path, resnet: nn.Module
) -> None:
    imported = import_model(source, tmp_path)
    bundle = read_bundle(find_bundle("mine", tmp_path))
    assert imported.folder == tmp_path / "mine"
    assert imported.card == bundle.card
    images = torch.randn(2, 3, 48, 64)
    with torch.inference_mode():
        assert torch.equal(bundle.model(images), resnet(images))


def test_the_card_says_where_it_came_from(source: Source, tmp_path: Path) -> None:
    card = import_model(source, tmp_path).card
    assert card.labels == ("cat", "crane", "crane (2)")
    assert (card.input_size, card.resize) == ((48, 64), 72)
    assert (card.mean, card.std, card.accuracy) == (MEAN, STD, {})
    made = card.provenance
    assert isinstance(made, ImportedProvenance)
    assert (made.source, made.data) == ("weights.pth", "pictures of mine")
    assert made.source_sha256 == hashlib.sha256(source.weights.read_bytes()).hexdigest()
    assert datetime.fromisoformat(made.imported_at).tzinfo is not None
    assert made.versions["torch"] == torch.__version__


def test_a_changed_label_is_noted(source: Source, tmp_path: Path) -> None:
    (note,) = import_model(source, tmp_path).notes
    assert "'crane (2)'" in note


def test_code_of_the_users_own_is_imported(own: Source, tmp_path: Path) -> None:
    imported = import_model(own, tmp_path / "models", allowed_modules=["own_nets"])
    assert read_bundle(imported.folder, ["own_nets"]).card.architecture == "own_nets:Tiny"
    with pytest.raises(BundleError, match="LRPSERVE_ARCHITECTURES=own_nets"):
        import_model(replace(own, name="again"), tmp_path / "models")


def test_a_relative_folder_is_made_where_one_stands(
    own: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    imported = import_model(own, Path("some/models"), allowed_modules=["own_nets"])
    assert imported.folder == Path("some/models/mine")
    assert list(find_models(tmp_path / "some" / "models")) == [DEFAULT_MODEL, "mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code", "o.pt", "some"]


def test_others_may_read_the_bundle_as_the_umask_says(own: Source, tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        imported = import_model(own, tmp_path / "models", allowed_modules=["own_nets"])
    finally:
        os.umask(umask)
    assert imported.folder.stat().st_mode & 0o777 == 0o755


# What is there already


def test_a_name_that_is_there_is_replaced_only_by_force(own: Source, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    import_model(own, folder, allowed_modules=["own_nets"])
    before = everything_in(folder)
    other = replace(own, data="other pictures")
    with pytest.raises(BundleError, match=r"is there already.*--force"):
        import_model(other, folder, allowed_modules=["own_nets"])
    assert everything_in(folder) == before
    import_model(other, folder, allowed_modules=["own_nets"], force=True)
    assert find_models(folder)["mine"] == folder / "mine"
    assert read_bundle(folder / "mine", ["own_nets"]).card.provenance.data == "other pictures"


def test_by_force_a_broken_bundle_is_replaced_too(own: Source, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / CARD_FILE).write_text("{")
    import_model(own, folder, allowed_modules=["own_nets"], force=True)
    assert "mine" in find_models(folder)


def test_what_is_no_bundle_is_never_replaced(own: Source, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "thesis.tex").write_text("years of work")
    (folder / "file").write_text("work too")
    for name in ("mine", "file"):
        with pytest.raises(BundleError, match="other files"):
            import_model(replace(own, name=name), folder, allowed_modules=["own_nets"], force=True)
    assert (folder / "mine" / "thesis.tex").exists()


def test_a_name_of_another_model_is_refused(own: Source, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    import_model(own, folder, allowed_modules=["own_nets"])
    (folder / "mine").rename(folder / "elsewhere")
    for name, where in (("mine", "elsewhere"), (DEFAULT_MODEL, DEFAULT_MODEL)):
        with pytest.raises(BundleError, match=f"is that of .*{where}: choose another"):
            import_model(replace(own, name=name), folder, allowed_modules=["own_nets"], force=True)


# Failures: one sentence, and nothing is left


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../up"}, "cannot be a model's name"),
        ({"architecture": "resnet19"}, "'resnet19' is not known"),
        ({"architecture": "resnet34"}, r"do not fit resnet34 with 3 classes: \d+ missing"),
        ({"architecture": "own_nets:Flat"}, "not allowed"),
        ({"weights": Path("nowhere.pt")}, r"weights nowhere\.pt cannot be read: No such file"),
        ({"labels": Path("nowhere.txt")}, r"labels nowhere\.txt cannot be read"),
        ({"std": (0.2, 0.0, 0.2)}, "the model cannot be: .*std must be above 0"),
        ({"resize": 50}, "resize must be at least"),
        ({"input_size": (0, 32)}, "input_size.0: Input should be greater"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    source: Source, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BundleError, match=said) as refused:
        import_model(replace(source, **changes), tmp_path / "models")
    assert "\n" not in refused.value.detail
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_number_of_labels_is_refused(source: Source, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nshrew\nmoon\n")
    with pytest.raises(BundleError, match=r"has 4 labels, but .* for 3 classes \(fc\.weight\)"):
        import_model(replace(source, labels=labels), tmp_path / "models")


def test_a_single_label_is_refused(source: Source, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n")
    with pytest.raises(BundleError, match="labels: Tuple should have at least 2"):
        import_model(replace(source, labels=labels), tmp_path / "models")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("Flat", r"logits of \(1, 3\), not \(3,\)"),
        ("Pair", r"logits of \(1, 3\), not tuple"),
        ("Infinite", "not finite: are mean and std right"),
        ("Standardizing", "finite beside another image, but not alone"),
        ("Failing", "fails with RuntimeError: first line$"),
    ],
)
def test_a_network_that_cannot_answer_is_refused_and_leaves_nothing(
    own: Source, tmp_path: Path, factory: str, said: str
) -> None:
    before = everything_in(tmp_path)
    with pytest.raises(BundleError, match=said):
        import_model(
            replace(own, architecture=f"own_nets:{factory}"),
            tmp_path / "models",
            allowed_modules=["own_nets"],
        )
    assert not_compiled(everything_in(tmp_path)) == not_compiled(before)


def not_compiled(found: dict[str, bytes | None]) -> dict[str, bytes | None]:
    return {path: content for path, content in found.items() if "__pycache__" not in path}


def test_the_hook_sees_the_bundle_as_it_will_be_read_and_can_refuse_it(
    own: Source, tmp_path: Path
) -> None:
    seen = []

    def refuse(bundle: Bundle) -> None:
        seen.append(bundle)
        raise BundleError("it cannot be explained")

    before = not_compiled(everything_in(tmp_path))
    with pytest.raises(BundleError, match="it cannot be explained"):
        import_model(own, tmp_path / "models", allowed_modules=["own_nets"], verify=refuse)
    assert seen[0].card.name == "mine"
    assert not_compiled(everything_in(tmp_path)) == before


def test_what_was_replaced_comes_back_where_the_last_step_fails(
    own: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    import_model(own, folder, allowed_modules=["own_nets"])
    before = everything_in(folder)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BundleError, match=r"cannot write .*mine: No space left"):
        import_model(own, folder, allowed_modules=["own_nets"], force=True)
    assert everything_in(folder) == before


def test_a_folder_that_is_a_file_is_one_sentence(own: Source, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(BundleError, match="models cannot be read"):
        import_model(own, tmp_path / "models", allowed_modules=["own_nets"])
    with pytest.raises(BundleError, match="cannot write"):
        import_model(own, tmp_path / "models" / "deeper", allowed_modules=["own_nets"])


# Options

shares = st.floats(0, 1)


@given(st.tuples(shares, shares, shares), st.sampled_from([",", ", ", " ,"]))
def test_three_numbers_are_read_as_they_are(values: tuple[float, ...], comma: str) -> None:
    assert parse_channels("mean", comma.join(map(repr, values))) == values


@given(st.text(st.sampled_from("0123456789.,-+einfa_ \n")) | st.text())
def test_any_text_is_three_shares_or_one_sentence(text: str) -> None:
    parse_or_refuse(lambda: parse_channels("std", text), "std: ")


@pytest.mark.parametrize(
    "text", ["", "0.5", "0.5,0.5", "0,0,0,0", "123.7,116.3,103.5", "-0.1,0,0", "nan,0,0", "inf,0,0"]
)
def test_what_is_no_mean_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"^mean: .*three numbers from 0 to 1.*255"):
        parse_channels("mean", text)


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_a_size_is_one_side_or_height_and_width(height: int, width: int) -> None:
    assert parse_size(f"{height}x{width}") == (height, width)
    assert parse_size(str(width)) == (width, width)


@given(st.text(st.sampled_from("0123456789x٣² \n")) | st.text())
def test_any_text_is_a_size_or_one_sentence(text: str) -> None:
    parse_or_refuse(lambda: parse_size(text), "size: ")


def parse_or_refuse(parse: Callable[[], tuple[float, ...]], begin: str) -> None:
    values: tuple[float, ...] = ()
    detail = begin
    try:
        values = parse()
    except OptionError as error:
        detail = error.detail
    assert all(0 <= value <= 9999 for value in values)
    assert detail.startswith(begin)
    assert "\n" not in detail
