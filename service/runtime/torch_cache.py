"""torch's folder for programs that it compiles. Needs no torch."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def set_torch_cache(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let torch be imported where it cannot make its folder: read-only disks, nameless users.

    It makes one beneath the temporary folder, with the user's name, when it is imported. Nothing is
    compiled here, so a folder that exists does as well, also in place of one that cannot be made.
    """
    try:
        if _VARIABLE in environ:
            Path(environ[_VARIABLE]).mkdir(parents=True, exist_ok=True)  # as torch does
            return
        getpass.getuser()
        with tempfile.TemporaryDirectory():
            return
    except (OSError, KeyError):
        environ[_VARIABLE] = str(Path(__file__).parent)
