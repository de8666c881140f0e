"""The results of batch jobs, read as their users read them, in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import zarr

Content = dict[str, Any]


def read_files(folder: Path) -> Content:
    """The bytes of every file, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_parquet(folder: Path) -> Content:
    """The rows of all parts."""
    return {"rows": pq.read_table(folder).to_pylist()}


def read_zarr(folder: Path) -> Content:
    """Each array, and the attributes."""
    group = zarr.open_group(folder, mode="r")
    arrays = {name: np.asarray(array[:]).tolist() for name, array in group.arrays()}
    return {**arrays, "attributes": dict(group.attrs)}


def read_virelay(folder: Path) -> Content:
    """Each dataset, and the other files."""
    content: Content = {}
    for name in ("input.h5", "attribution.h5"):
        with h5py.File(folder / name) as file:
            content |= {f"{name}/{key}": dataset[:].tolist() for key, dataset in file.items()}
    texts = {name: data for name, data in read_files(folder).items() if not name.endswith(".h5")}
    return content | texts


READERS: Mapping[str, Callable[[Path], Content]] = {
    "files": read_files,
    "parquet": read_parquet,
    "zarr": read_zarr,
    "virelay": read_virelay,
}


def read_output(format_name: str, folder: Path) -> str:
    """The results of a job as text: numbers that are not numbers are equal there."""
    return json.dumps(READERS[format_name](folder), default=repr, sort_keys=True)


def has_leftovers(folder: Path) -> bool:
    """Whether a file is there that a job has not finished."""
    return any("incomplete" in path.name or "partial" in path.name for path in folder.rglob("*"))
