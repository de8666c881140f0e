"""Bundles that a running service can load: found by name, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import BundleError, NotFound
from service.models.lookup import find_again, find_new, read_all
from tests.helpers.servers import copy_bundle


def test_a_new_bundle_is_found_by_the_name_in_its_card(tmp_path: Path) -> None:
    folder = copy_bundle(tmp_path / "a-folder", name="horses")
    copy_bundle(tmp_path / "another", name="cows")
    found = find_new("horses", tmp_path)
    assert (found.folder, found.card.name) == (folder, "horses")
    with pytest.raises(NotFound, match="no model 'dogs' in LRPSERVE_MODELS; there are: horses, c"):
        find_new("dogs", tmp_path)
    with pytest.raises(NotFound, match="none"):
        find_new("dogs", None)


def test_bundles_of_others_that_are_broken_do_not_matter(tmp_path: Path) -> None:
    copy_bundle(tmp_path / "horses", name="horses")
    broken = copy_bundle(tmp_path / "broken") / "model.json"
    broken.write_text("{")
    assert find_new("horses", tmp_path).card.name == "horses"
    with pytest.raises(BundleError, match="not a valid card"):
        find_new("broken", tmp_path)
    bundles, problems = read_all(tmp_path)
    assert ([bundle.card.name for bundle in bundles], list(problems)) == (["horses"], ["broken"])


def test_two_bundles_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in "ab":
        copy_bundle(tmp_path / folder, name="horses")
    with pytest.raises(BundleError, match="two models have the name 'horses'"):
        find_new("horses", tmp_path)


def test_a_bundle_that_was_loaded_keeps_its_name(tmp_path: Path) -> None:
    folder = copy_bundle(tmp_path / "a", name="horses")
    assert find_again("horses", folder).card.name == "horses"
    assert find_again("my-name", folder, alias="my-name").card.name == "my-name"
    with pytest.raises(BundleError, match="has the name 'horses' now"):
        find_again("cows", folder)


def test_weights_are_checked(tmp_path: Path) -> None:
    found = find_again("horses", copy_bundle(tmp_path / "a", name="horses"))
    found.check_weights()
    weights = found.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(BundleError, match="sha256"):
        found.check_weights()
    weights.unlink()
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        found.check_weights()
