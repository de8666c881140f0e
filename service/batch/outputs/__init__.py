"""Formats of the output of a batch job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.batch.outputs.base import Output, OutputContext
from service.batch.outputs.files import FilesOutput
from service.batch.outputs.parquet import ParquetOutput
from service.batch.outputs.virelay import VirelayOutput
from service.batch.outputs.zarr import ZarrOutput
from service.errors import OptionError, join_names

FORMATS: Mapping[str, type[Output]] = {
    "files": FilesOutput,
    "parquet": ParquetOutput,
    "zarr": ZarrOutput,
    "virelay": VirelayOutput,
}

__all__ = ["FORMATS", "Output", "OutputContext", "choose_format"]


def choose_format(path: Path, given: str | None) -> str:
    """The name of a format: as it is given, or by the suffix of the output, or `files`.

    Raises
    ------
    OptionError
        There is no such format.
    """
    if given is None:
        suffix = path.suffix.lower().removeprefix(".")
        return suffix if suffix in FORMATS else "files"
    if given not in FORMATS:
        raise OptionError.of("format", f"must be one of: {join_names(FORMATS)}")
    return given
