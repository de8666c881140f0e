"""Parquet: a folder with a file for each part, as Spark and Dask write it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.batch.durable import replaced, write_file
from service.batch.errors import import_library
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult
from service.batch.journal import Failure
from service.batch.outputs.base import Output
from service.batch.rows import check_single_target, make_row, make_table

_REPEATED = ["target_label", "model", "model_sha256", "method", "error_type"]


class ParquetOutput(Output):
    """Writes `part-00000000.parquet` and so on, with the columns of `service.batch.rows`."""

    @classmethod
    def check(cls, explainer: BatchExplainer) -> None:
        """Refuse several targets."""
        check_single_target(explainer)
        import_library("pyarrow")

    def write(self, number: int, results: Sequence[ImageResult]) -> None:
        """Write the file of a part."""
        table = make_table(self.explainer, [make_row(self.explainer, each) for each in results])
        parquet = import_library("pyarrow.parquet")
        with replaced(self.path / f"part-{number:08d}.parquet") as path:
            parquet.write_table(table, path, use_dictionary=_REPEATED, compression="zstd")

    def finish(self, failures: Iterable[Failure]) -> None:
        """Mark the folder as complete, as Spark does."""
        write_file(self.path / "_SUCCESS", b"")
