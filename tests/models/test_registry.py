"""Where models are found: what ships, a folder of the user's, or a path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.errors import BundleError
from service.models.card import CARD_FILE, ModelCard, read_card
from service.models.registry import (
    SHIPPED,
    find_bundle,
    find_models,
    served_models,
    shipped_models,
)
from service.settings import DEFAULT_MODEL


@pytest.fixture
def own(tmp_path: Path, card: ModelCard) -> Path:
    """A folder with two models, and with what is none."""
    folder = tmp_path / "models"
    for name in ("beta", "alpha"):
        add(folder / name, card, name)
    add(folder / ".lrpserve-staging", card, "half-written")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("none")
    return folder


def add(folder: Path, card: ModelCard, name: str) -> None:
    folder.mkdir(parents=True)
    text = card.model_copy(update={"name": name}).model_dump_json()
    (folder / CARD_FILE).write_text(text, encoding="utf-8")


def test_the_default_model_ships_and_is_found_by_name_and_by_path(own: Path) -> None:
    assert DEFAULT_MODEL in shipped_models()
    assert read_card(find_bundle(DEFAULT_MODEL)).name == DEFAULT_MODEL
    assert find_bundle(str(own / "alpha")) == own / "alpha"


def test_models_are_those_that_ship_and_those_of_the_folder(own: Path) -> None:
    shipped = {DEFAULT_MODEL: SHIPPED / DEFAULT_MODEL}
    assert find_models(None) == shipped
    expected = shipped | {"alpha": own / "alpha", "beta": own / "beta"}
    assert list(find_models(own).items()) == list(expected.items())


def test_the_name_is_that_in_the_card(own: Path) -> None:
    (own / "alpha").rename(own / "renamed")
    assert find_bundle("alpha", own) == own / "renamed"
    with pytest.raises(BundleError, match="no model 'renamed'"):
        find_bundle("renamed", own)


def test_a_name_goes_before_a_path(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "empty" / "alpha").mkdir()
    monkeypatch.chdir(own / "empty")
    assert find_bundle("alpha", own) == own / "alpha"


@pytest.mark.parametrize("name", ["no-such-model", "a" * 5000, ""], ids=["name", "long", "empty"])
def test_an_unknown_model_is_refused_with_those_that_are_there(own: Path, name: str) -> None:
    with pytest.raises(BundleError, match=rf"\({DEFAULT_MODEL}\)"):
        find_bundle(name)
    with pytest.raises(BundleError, match=rf"\({DEFAULT_MODEL}, alpha, beta\)"):
        find_bundle(name, own)


@pytest.mark.parametrize("name", ["alpha", DEFAULT_MODEL], ids=["own", "shipped"])
def test_two_models_of_one_name_are_refused_with_both_folders(
    own: Path, card: ModelCard, name: str
) -> None:
    add(own / "zeta", card, name)
    with pytest.raises(BundleError, match=f"two models have the name '{name}', .*zeta: change"):
        find_models(own)


def test_a_folder_that_is_not_there_says_what_it_has_to_be(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(BundleError, match=f"{path.name}.*LRPSERVE_MODELS has to be a folder"):
            find_models(path)


def test_a_broken_card_is_named(own: Path) -> None:
    (own / "alpha" / CARD_FILE).write_text("{")
    with pytest.raises(BundleError, match=r"alpha/model\.json is not a valid card"):
        find_models(own)


def test_a_link_to_a_bundle_is_one(own: Path, tmp_path: Path) -> None:
    shutil.move(own / "alpha", tmp_path / "elsewhere")
    (own / "link").symlink_to(tmp_path / "elsewhere")
    assert find_bundle("alpha", own) == own / "link"


# --- what a service serves


def test_without_a_folder_the_default_model_is_served_alone() -> None:
    assert served_models(DEFAULT_MODEL) == ({DEFAULT_MODEL: SHIPPED / DEFAULT_MODEL}, DEFAULT_MODEL)


def test_the_models_of_the_folder_are_served_beside_the_default(own: Path) -> None:
    folders, default = served_models(DEFAULT_MODEL, own)
    assert default == DEFAULT_MODEL
    assert list(folders) == [DEFAULT_MODEL, "alpha", "beta"]
    assert folders["beta"] == own / "beta"


def test_the_default_may_be_one_of_the_folder_and_what_ships_is_not_served_then(own: Path) -> None:
    expected = {"beta": own / "beta", "alpha": own / "alpha"}
    for model in ("beta", str(own / "beta"), f"{own}/empty/../beta"):
        folders, default = served_models(model, own)
        assert default == "beta"
        assert {name: path.resolve() for name, path in folders.items()} == expected


def test_the_default_may_be_a_path_and_has_the_name_in_its_card(
    own: Path, tmp_path: Path, card: ModelCard
) -> None:
    add(tmp_path / "elsewhere", card, "gamma")
    folders, default = served_models(str(tmp_path / "elsewhere"), own)
    assert (default, list(folders)) == ("gamma", ["gamma", "alpha", "beta"])
    add(tmp_path / "bundle", card, "alpha")
    with pytest.raises(BundleError, match=r"two models .* 'alpha', .*bundle and .*alpha"):
        served_models(str(tmp_path / "bundle"), own)


def test_the_default_may_be_served_under_another_name(own: Path) -> None:
    expected = {"horses": own / "alpha", "beta": own / "beta"}
    assert served_models("alpha", own, "horses") == (expected, "horses")
    shipped = SHIPPED / DEFAULT_MODEL
    assert served_models(str(shipped), None, "horses") == ({"horses": shipped}, "horses")
    assert read_card(shipped, "horses").name == "horses"


def test_the_name_of_the_default_must_be_valid_and_free(own: Path) -> None:
    with pytest.raises(BundleError, match=r"'My horses' cannot be a model's name: use up to 64"):
        served_models("alpha", own, "My horses")
    with pytest.raises(BundleError, match=r"two models have the name 'beta', .*alpha and .*beta"):
        served_models("alpha", own, "beta")
