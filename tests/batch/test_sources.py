"""Sources of batch jobs: their images, the order of these, and inputs that are wrong."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.batch import listing
from service.batch.errors import InputError
from service.batch.images import ImageKey, SourceImage
from service.batch.parquet_source import ParquetSource, is_parquet
from service.batch.sources import FolderSource, ListSource, Source, open_list

LABELS = ("cat", "dog")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def paths_of(source: Source, first: int = 0) -> list[str | None]:
    return [image.key.path for image in source.images(first)]


def assert_can_be_resumed_anywhere(source: Source) -> None:
    whole = list(source.images(0))
    assert [image.key.index for image in whole] == list(range(source.n_images))
    for first in range(source.n_images + 1):
        assert list(source.images(first)) == whole[first:]


def test_a_folder_is_listed_sorted_with_its_sub_folders(tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "images"
    touch(folder, "b.PNG", "a/2.jpg", "a/10.jpeg", "cat/x.webp", ".hidden/a.png", ".b.png", "n.txt")
    touch(folder, "out/old.png")
    (folder / "linked").symlink_to(folder)  # a circle
    source = FolderSource(folder, state, LABELS, folder / "out")
    assert paths_of(source) == ["a/10.jpeg", "a/2.jpg", "b.PNG", "cat/x.webp"]
    assert [image.key.label for image in source.images(0)] == [None, None, None, 0]
    assert [image.content for image in source.images(2)] == [
        folder / "b.PNG",
        folder / "cat/x.webp",
    ]
    assert_can_be_resumed_anywhere(source)


def test_a_folder_is_listed_once_for_a_job(tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "images"
    touch(folder, "b.png")
    before = FolderSource(folder, state, LABELS, tmp_path / "out")
    touch(folder, "a.png")
    after = FolderSource(folder, state, LABELS, tmp_path / "out")
    assert paths_of(after) == ["b.png"]
    assert (after.identity, after.n_images) == (before.identity, 1)


def test_sorting_holds_few_paths_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_RUN", 7)
    names = [f"{index * 7919 % 100:03d}.png" for index in range(100)]
    target = tmp_path / "list"
    assert listing.write_sorted(iter(names), target) == listing.count_list(target) == 100
    assert list(listing.read_list(target)) == sorted(names)
    assert list(tmp_path.iterdir()) == [target]


def test_names_may_have_any_bytes(tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "images"
    touch(folder, "line\nbreak.png", 'quote".png', os.fsdecode(b"latin\xe4.png"))
    source = FolderSource(folder, state, LABELS, tmp_path / "out")
    images = list(source.images(0))
    assert all(isinstance(one.content, Path) and one.content.exists() for one in images)
    assert {one.key.path for one in images} == {"line\nbreak.png", 'quote".png', "latin\\xe4.png"}


def test_a_list_has_its_own_order_and_repetitions(state: Path) -> None:
    source = ListSource(io.BytesIO(b"b.png\r\n\na.png\nsub/b.png\nb.png"), state)
    assert paths_of(source) == ["b.png", "a.png", "sub/b.png", "b.png"]
    names = [source.file_name(image.key) for image in source.images(0)]
    assert names[0] == "000000000-b.png"
    assert len(set(names)) == 4
    assert_can_be_resumed_anywhere(source)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"a.png\0b.png\n"])
def test_a_list_is_a_text_file(tmp_path: Path, state: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match="not a text file"):
        open_list(str(tmp_path / "list.txt"), state)
    with pytest.raises(InputError, match="No such file"):
        open_list(str(tmp_path / "missing.txt"), state)


def with_bytes(index: int) -> dict[str, object]:
    return {"bytes": f"image {index}".encode(), "label": index % 3}


def as_hugging_face(index: int) -> dict[str, object]:
    image = {"bytes": f"image {index}".encode(), "path": f"{index}.png"}
    return {"image": image, "label": LABELS[index % 2]}


def with_paths(index: int) -> dict[str, object]:
    return {"path": f"images/{index}.png"}


@pytest.mark.parametrize(
    ("make_row", "expected"),
    [
        (with_bytes, SourceImage(ImageKey(4, None, 1), b"image 4")),
        (as_hugging_face, SourceImage(ImageKey(4, "4.png", 0), b"image 4")),
        (with_paths, SourceImage(ImageKey(4, "images/4.png"), Path("images/4.png"))),
    ],
)
def test_parquet_may_have_bytes_or_paths(
    tmp_path: Path, make_row: Callable[[int], dict[str, object]], expected: SourceImage
) -> None:
    for number, indices in enumerate((range(5), range(5, 5), range(5, 12))):
        table = pa.table({name: [] for name in make_row(0)})
        if indices:
            table = pa.Table.from_pylist([make_row(index) for index in indices])
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=3)
    assert is_parquet(tmp_path)
    assert is_parquet(tmp_path / "0.parquet")
    source = ParquetSource(tmp_path, LABELS, None)
    assert source.n_images == 12
    assert next(iter(source.images(4))) == expected
    assert_can_be_resumed_anywhere(source)


def test_parquet_with_null_and_a_column_of_another_name(tmp_path: Path) -> None:
    table = pa.table({"picture": [b"x", None], "image": ["a", "b"]})
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetSource(tmp_path / "a.parquet", LABELS, "picture")
    assert [image.content for image in source.images(0)] == [b"x", None]


@pytest.mark.parametrize(("columns", "column"), [({"pixels": [1]}, None), ({"image": [1]}, "x")])
def test_parquet_without_images_says_which_columns_there_are(
    tmp_path: Path, columns: dict[str, list[int]], column: str | None
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"--column, one of: {next(iter(columns))}"):
        ParquetSource(tmp_path, LABELS, column)


def test_a_broken_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        ParquetSource(tmp_path, LABELS, None)
