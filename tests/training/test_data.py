"""Data sets from folders of real image files."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.folders import write_folder
from training.data import DataError, Split, channel_statistics, hold_out, load_data


def test_train_and_test_folders_become_the_two_splits(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", per_class=5)
    write_folder(tmp_path / "test", per_class=2)
    data = load_data(str(tmp_path), tmp_path / "cache")
    assert data.class_names == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (10, 4)
    assert data.train.images.dtype == torch.uint8
    assert data.train.images.shape == (10, 3, 32, 32)
    assert data.train.labels.tolist() == [0] * 5 + [1] * 5


def test_pixels_are_those_of_the_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", per_class=1)
    write_folder(tmp_path / "test", per_class=1)
    data = load_data(str(tmp_path), tmp_path)
    expected = np.asarray(Image.open(tmp_path / "train" / "dog" / "0.png"))
    assert (data.train.images[1].permute(1, 2, 0).numpy() == expected).all()


def test_of_one_folder_every_sixth_image_is_for_the_test(tmp_path: Path) -> None:
    write_folder(tmp_path / "flat", per_class=6)
    data = load_data(str(tmp_path / "flat"), tmp_path)
    assert (len(data.train), len(data.test)) == (10, 2)
    assert data.test.labels.tolist() == [0, 1]


def test_images_of_other_sizes_are_cropped_and_scaled(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / split, per_class=1, size=(50, 40))
    assert load_data(str(tmp_path), tmp_path).train.images.shape == (2, 3, 32, 32)


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        load_data(str(tmp_path / "nowhere"), tmp_path)


def test_a_folder_without_classes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class folders"):
        load_data(str(tmp_path), tmp_path)


def test_splits_with_other_classes_are_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", per_class=1)
    write_folder(tmp_path / "test", per_class=1)
    shutil.move(tmp_path / "test" / "dog", tmp_path / "test" / "horse")
    with pytest.raises(DataError, match="same classes"):
        load_data(str(tmp_path), tmp_path)


def test_cifar10_that_cannot_be_downloaded_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing listens there: the same failure with and without a network
    monkeypatch.setattr("training.data.CIFAR10.url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(DataError, match="cannot be downloaded"):
        load_data("cifar10", tmp_path)


def test_cifar10_that_is_there_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (5, 3 * 32 * 32), dtype=np.uint8)
    files = {
        "train": {"data": rows[:3], "labels": [0, 1, 1]},
        "test": {"data": rows[3:], "labels": [1, 0]},
        "names": {"label_names": ["cat", "dog"]},
    }
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content))
    monkeypatch.setattr("training.data.CIFAR10.train_list", [("train", None)])
    monkeypatch.setattr("training.data.CIFAR10.test_list", [("test", None)])
    meta = {"filename": "names", "key": "label_names", "md5": None}
    monkeypatch.setattr("training.data.CIFAR10.meta", meta)

    data = load_data("cifar10", tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.description == "CIFAR-10"
    # a row of the original is the red plane, the green and the blue, each line by line
    assert (data.train.images.numpy() == rows[:3].reshape(3, 3, 32, 32)).all()
    assert (data.test.images.numpy() == rows[3:].reshape(2, 3, 32, 32)).all()
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 1, 1], [1, 0])


def test_a_single_class_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "flat", per_class=2)
    shutil.rmtree(tmp_path / "flat" / "dog")
    with pytest.raises(DataError, match="one class folder, cat"):
        load_data(str(tmp_path / "flat"), tmp_path)


def test_a_train_folder_without_a_test_folder_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", per_class=2)
    with pytest.raises(DataError, match="one class folder, train"):
        load_data(str(tmp_path), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image"], ids=["empty", "text"])
def test_a_broken_image_is_named(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path / "flat", per_class=2)
    (tmp_path / "flat" / "dog" / "1.png").write_bytes(content)
    with pytest.raises(DataError, match=r"dog/1\.png cannot be read"):
        load_data(str(tmp_path / "flat"), tmp_path)


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(40))


def test_held_out_images_are_disjoint_from_the_rest_and_nothing_is_lost(split: Split) -> None:
    rest, held = hold_out(split, 10, seed=3)
    assert len(held) == 10
    assert sorted(rest.labels.tolist() + held.labels.tolist()) == list(range(40))
    assert torch.equal(held.images, split.images[held.labels])


def test_the_seed_decides_what_is_held_out(split: Split) -> None:
    first, again, other = (hold_out(split, 10, seed)[1].labels.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_too_few_images_to_hold_out_are_an_error(split: Split) -> None:
    with pytest.raises(DataError, match="too few"):
        hold_out(split, 40, seed=0)


def test_statistics_are_those_of_numpy(split: Split) -> None:
    mean, std = channel_statistics(split)
    values = split.images.numpy() / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), atol=5e-5)
    np.testing.assert_allclose(std, values.std((0, 2, 3)), atol=5e-5)


def test_images_without_any_contrast_are_an_error(split: Split) -> None:
    flat = Split(torch.full_like(split.images, 7), split.labels)
    with pytest.raises(DataError, match="same value"):
        channel_statistics(flat)
