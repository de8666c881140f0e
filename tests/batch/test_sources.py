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
from service.batch.sources import FolderSource, ListSource, Source, check_exists, open_list

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


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path, state: Path) -> None:
    with pytest.raises(InputError, match=r"list .* cannot be read: Is a directory"):
        open_list(str(tmp_path), state)


def test_an_input_that_is_not_there_is_neither_a_list_nor_a_folder(tmp_path: Path) -> None:
    check_exists("-")
    check_exists(str(tmp_path))
    with pytest.raises(InputError, match="no file or folder"):
        check_exists(str(tmp_path / "missing"))


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


@pytest.mark.parametrize("content", [b"PAR1 and no more", b"PA", b""])
def test_a_broken_parquet_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    for given in (tmp_path, path):
        assert is_parquet(given)
        with pytest.raises(InputError, match=r"a\.parquet cannot be read as Parquet"):
            ParquetSource(given, LABELS, None)


def test_a_parquet_file_that_is_broken_within_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [os.urandom(1000)]}), path, use_dictionary=False)
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\xff" * 500 + content[508:])
    source = ParquetSource(path, LABELS, None)
    with pytest.raises(InputError, match=r"a\.parquet cannot be read as Parquet"):
        list(source.images(0))


@pytest.mark.parametrize(
    "values", [[1], [1.5], [[1, 2]], [{"bytes": 1}], [{"pixels": b"x"}], [True]]
)
def test_a_column_without_images_is_refused(tmp_path: Path, values: list[object]) -> None:
    pq.write_table(pa.table({"image": pa.nulls(0)}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"image": values}), tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"column 'image' of .*1\.parquet is of the type"):
        ParquetSource(tmp_path, LABELS, None)


@pytest.mark.parametrize("other", [{"image": [1]}, {"bytes": [b"x"]}])
def test_each_file_of_parquet_has_to_have_the_images(
    tmp_path: Path, other: dict[str, list[object]]
) -> None:
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "0.parquet")
    pq.write_table(pa.table(other), tmp_path / "1.parquet")
    with pytest.raises(InputError, match="give --column"):
        ParquetSource(tmp_path, LABELS, None)


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.large_binary(), pa.binary_view(), pa.binary(1)),
        *(pa.dictionary(pa.int32(), pa.binary()), pa.struct({"bytes": pa.binary()})),
    ],
)
def test_bytes_may_be_of_any_type_of_arrow(tmp_path: Path, kind: pa.DataType) -> None:
    value = {"bytes": b"x"} if pa.types.is_struct(kind) else b"x"
    pq.write_table(pa.table({"image": pa.array([value], kind)}), tmp_path / "a.parquet")
    source = ParquetSource(tmp_path, LABELS, None)
    assert [image.content for image in source.images(0)] == [b"x"]
