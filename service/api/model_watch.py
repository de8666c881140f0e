"""Loads bundles that are replaced or added while the service runs (LRPSERVE_WATCH_S)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from service.api.models import Models
from service.errors import BundleError, ServiceError
from service.models.card import CARD_FILE, WEIGHTS_FILE, read_card
from service.models.registry import bundles_in

logger = logging.getLogger(__name__)

Fingerprint = tuple[tuple[int, int, int], ...]


class FolderWatch:
    """Notices changes of bundles, by the times, sizes and inodes of their files."""

    def __init__(self) -> None:
        self._last: Mapping[Path, Fingerprint] = {}
        self._known: dict[Path, Fingerprint] = {}

    def settled(self, folders: Iterable[Path]) -> list[Path]:
        """The bundles that have changed, and are the same as at the last look.

        A bundle that is being copied changes from look to look.
        """
        last, self._last = self._last, dict(_fingerprints(folders))
        changed = {
            folder: found
            for folder, found in self._last.items()
            if last.get(folder) == found != self._known.get(folder)
        }
        self._known |= changed
        return list(changed)


def _fingerprints(folders: Iterable[Path]) -> Iterator[tuple[Path, Fingerprint]]:
    for folder in folders:
        with suppress(OSError):  # it is being replaced
            stats = [(folder / name).stat() for name in (CARD_FILE, WEIGHTS_FILE)]
            yield folder, tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)


class ModelWatch:
    """Looks at the bundles again and again, and loads those that have changed.

    Folders that are gone are ignored: their models are served on.

    Parameters
    ----------
    models : Models
        The served models.
    folder : Path or None
        The folder of bundles (the setting LRPSERVE_MODELS).
    interval_s : float
        Between two looks.
    """

    def __init__(self, models: Models, folder: Path | None, interval_s: float) -> None:
        self._models, self._folder, self._interval_s = models, folder, interval_s
        self._watch = FolderWatch()

    async def run(self) -> None:
        """Look until this is cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                if self._models.is_ready:
                    await self._look()
            except ServiceError as error:
                logger.error("the bundles cannot be watched: %s", error.detail)

    async def _look(self) -> None:
        served = {folder: name for name, folder in self._models.folders().items()}
        for folder in await asyncio.to_thread(self._changed, served):
            try:
                name = served.get(folder) or (await asyncio.to_thread(read_card, folder)).name
                change = await self._models.refresh(name)
            except BundleError as error:
                logger.error("%s", error.detail)
            except ServiceError as error:
                logger.error("the bundle %s is not loaded: %s", folder, error.detail)
            else:
                if change.is_changed:
                    logger.info("%s is loaded, with the weights %s", name, change.sha256)

    def _changed(self, served: Iterable[Path]) -> list[Path]:
        inside = bundles_in(self._folder) if self._folder else []
        return self._watch.settled(dict.fromkeys([*served, *inside]))
