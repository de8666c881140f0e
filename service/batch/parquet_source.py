"""Images in Parquet files: a column of bytes, of paths, or of Hugging Face's {bytes, path}."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.batch.errors import InputError, import_library
from service.batch.images import ImageKey, SourceImage
from service.batch.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

COLUMNS = ("image", "bytes", "path")  # the first of these that a file has
_LABEL, _PATH = "label", "path"
_PARTS = ("bytes", "path")  # of Hugging Face's struct
_ROWS = 64  # that are read at a time: images of photos take megabytes
_SUFFIX, _MAGIC = ".parquet", b"PAR1"


def is_parquet(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder with files of the suffix `.parquet`.

    A file that is named so is one even if it is broken: it is no list of paths.
    """
    if path.is_dir():
        return any(path.glob(f"*{_SUFFIX}"))
    if path.suffix.lower() == _SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class ParquetSource(Source):
    """The rows of a Parquet file, or of all in a folder, sorted by name.

    A column `label` (an index or a name of a class) says the true class, and a column `path` beside
    one of bytes names the image in the output.

    Parameters
    ----------
    path : Path
        The file or folder.
    labels : sequence of str
        The model's classes.
    column : str or None
        The column of images; None for the first of `COLUMNS`.

    Raises
    ------
    InputError
        A file cannot be read, or has no such column, or it has neither bytes nor paths.
    """

    def __init__(self, path: Path, labels: Sequence[str], column: str | None) -> None:
        self._parquet = import_library("pyarrow.parquet")
        self._files = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
        self._labels = {label: index for index, label in enumerate(labels)}
        self.column = column or _choose_column(self._open(self._files[0]).schema_arrow)
        self._n_rows = [self._count(file) for file in self._files]
        self.n_images = sum(self._n_rows)
        sizes = [
            (file.name, file.stat().st_size, n)
            for file, n in zip(self._files, self._n_rows, strict=True)
        ]
        digest = hashlib.sha256(repr(sizes).encode()).hexdigest()
        self.identity = {"input_sha256": digest, "column": self.column}

    def images(self, first: int) -> Iterator[SourceImage]:
        """The images, from that with the index `first`."""
        start = 0
        for path, n_rows in zip(self._files, self._n_rows, strict=True):
            if n_rows and first < start + n_rows:
                yield from self._images_of(path, start, max(first, start))
            start += n_rows

    def file_name(self, key: ImageKey) -> str:
        """The number of the row, from 0: paths may be missing, or repeated."""
        return f"{key.index:09d}"

    def _count(self, path: Path) -> int:
        """The rows of a file, whose column of images is checked."""
        file = self._open(path)
        schema, n_rows = file.schema_arrow, int(file.metadata.num_rows)
        if self.column not in schema.names:
            raise InputError(_no_column(schema, f"no column {self.column!r}"))
        if n_rows and not _has_images(kind := schema.field(self.column).type):
            raise InputError(
                f"the column {self.column!r} of {path} is of the type {kind}; it must have image "
                "files as bytes, paths, or both as {bytes, path}: give --column"
            )
        return n_rows

    def _open(self, path: Path) -> pq.ParquetFile:
        with _read_errors(path):
            return self._parquet.ParquetFile(path, memory_map=True)

    def _images_of(self, path: Path, start: int, first: int) -> Iterator[SourceImage]:
        """The images of a file whose first row has the index `start`."""
        file = self._open(path)
        index, groups = start, list(range(file.num_row_groups))
        while (n_rows := file.metadata.row_group(groups[0]).num_rows) <= first - index:
            index += n_rows
            groups.pop(0)
        names = dict.fromkeys((self.column, _PATH, _LABEL))  # that are not there are passed over
        with _read_errors(path):
            for batch in file.iter_batches(_ROWS, row_groups=groups, columns=list(names)):
                n_skipped = min(max(first - index, 0), len(batch))
                rows = batch.slice(n_skipped).to_pylist()
                yield from map(self._image, range(index + n_skipped, index + len(batch)), rows)
                index += len(batch)

    def _image(self, index: int, row: dict[str, Any]) -> SourceImage:
        value, path, label = row[self.column], row.get(_PATH), row.get(_LABEL)
        if isinstance(value, dict):
            path = value.get("path") or path
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str):
            path, value = value, Path(value)
        key = ImageKey(index, path if isinstance(path, str) else None, self._label(label))
        return SourceImage(key, value if isinstance(value, bytes | Path) else None)

    def _label(self, label: Any) -> int | None:
        if isinstance(label, str):
            return self._labels.get(label)
        is_index = isinstance(label, int) and 0 <= label < len(self._labels)
        return label if is_index else None


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's own are subclasses
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error


def _has_images(kind: pa.DataType) -> bool:
    """Whether a type is of bytes, of texts, or of a struct of these; or of null only."""
    types = import_library("pyarrow").types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_struct(kind):
        parts = [kind.field(name).type for name in _PARTS if kind.get_field_index(name) >= 0]
        return bool(parts) and all(map(_has_images, parts))
    is_kind = (
        *(types.is_binary, types.is_large_binary, types.is_binary_view),
        *(types.is_string, types.is_large_string, types.is_string_view),
        *(types.is_fixed_size_binary, types.is_null),
    )
    return any(check(kind) for check in is_kind)


def _choose_column(schema: pa.Schema) -> str:
    for name in COLUMNS:
        if name in schema.names:
            return name
    raise InputError(_no_column(schema, f"none of the columns {', '.join(COLUMNS)}"))


def _no_column(schema: pa.Schema, missing: str) -> str:
    return f"the Parquet file has {missing}; give --column, one of: {', '.join(schema.names)}"
