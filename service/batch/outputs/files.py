"""Files for each image, as `lrpserve explain IMAGE...` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service.api.response.explanation import ExplanationRenderer
from service.batch.durable import sync_filesystem
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult
from service.batch.journal import Failure
from service.batch.outputs.base import ERRORS, Output, write_failures
from service.errors import ServiceError
from service.runtime.cores import usable_cores

_PART_IMAGES = 128  # their pictures are held until the part is written


class FilesOutput(Output):
    """Writes `NAME.json`, `NAME.heatmap.png` and so on, and `errors.jsonl` at the end.

    The names are those of the images, with their suffixes: `a/cat.jpg.json`. `cat.jpg` and
    `cat.png` may both be there.
    """

    @classmethod
    def check(cls, explainer: BatchExplainer) -> None:
        """Allow it: everything fits into files."""

    @classmethod
    def part_size(cls, explainer: BatchExplainer) -> int:
        """Images in a part."""
        return _PART_IMAGES

    def write(self, number: int, results: Sequence[ImageResult]) -> None:
        """Write the files of a part."""
        with ThreadPoolExecutor(usable_cores(), thread_name_prefix="render") as pool:
            list(pool.map(self._write, results))
        sync_filesystem(self.path)

    def _write(self, result: ImageResult) -> None:
        if isinstance(result.outcome, ServiceError) or result.loaded is None:
            return
        image, pictures = result.loaded
        renderer = ExplanationRenderer(self.explainer.resolved, result.outcome, image)
        base = self.path / self.context.source.file_name(result.key)
        base.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in renderer.files(pictures).items():
            base.with_name(f"{base.name}{suffix}").write_bytes(content)

    def finish(self, failures: Iterable[Failure]) -> None:
        """List the images that failed."""
        write_failures(self.path / ERRORS, failures)
