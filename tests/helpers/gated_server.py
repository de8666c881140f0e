"""The server, with a device thread that waits for files in a folder.

`python gated_server.py FOLDER serve ...`: loading waits for the file `load` and each batch for the
file `run`; a batch that has begun writes its size into `running`, and adds it to `sizes` later.

Faults are files too. With `poison` a black image makes its batch fail, with `broken` every batch
and the warm-up image fail, with `small` those of more than 16 do not fit into memory, and with
`tiny` none does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from service import app
from service.errors import OutOfMemory
from service.lrp.passes import Passes
from service.runtime.batcher import Outcomes
from service.runtime.jobs import Job, Result
from service.runtime.loaded_models import Engines, JobRunner
from service.settings import Settings


class GatedRunner:
    """Runs each job when the gate is open."""

    def __init__(self, inner: JobRunner, folder: Path) -> None:
        self.inner, self.folder = inner, folder
        self.device_name, self.layers = inner.device_name, inner.layers
        self.default_starts = inner.default_starts

    def best_batch_size(self, job: Job) -> int:
        """The largest batch."""
        return 32

    def memory_bytes(self) -> int:
        """What is in use on the device."""
        return self.inner.memory_bytes()

    def check_device(self) -> None:
        """Fail with `broken`."""
        if (self.folder / "broken").exists():
            raise RuntimeError("the device is broken")
        self.inner.check_device()

    def close(self) -> None:
        """Free its memory."""
        self.inner.close()

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        """Do a batch."""
        (self.folder / "running").write_text(str(len(jobs)))
        wait_for(self.folder / "run")
        with (self.folder / "sizes").open("a", encoding="utf-8") as sizes:
            sizes.write(f"{len(jobs)}\n")
        self.fail(jobs)
        return (yield from self.inner.run_in_passes(jobs))

    def fail(self, jobs: Sequence[Job]) -> None:
        """Fail as the files say."""
        if (self.folder / "broken").exists():
            raise RuntimeError("every batch fails")
        if (self.folder / "tiny").exists():
            raise OutOfMemory("not even one fits; lower the number of `targets`")
        if (self.folder / "small").exists() and len(jobs) > 16:
            raise OutOfMemory("more than 16 do not fit")
        if (self.folder / "poison").exists() and not all(job.pixels.any() for job in jobs):
            raise RuntimeError("one of them is black")


def wait_for(gate: Path) -> None:
    """Wait until a file is there."""
    while not gate.exists():
        time.sleep(0.02)


def main() -> None:
    """Run the command line, with gates."""
    folder = Path(sys.argv.pop(1))
    load = app._load_engines

    def load_gated(
        folders: Mapping[str, Path],
        settings: Settings,
        device: str,
        like: Mapping[str, JobRunner] | None = None,
    ) -> Engines:
        wait_for(folder / "load")
        engines = load(folders, settings, device, like)
        return {model: GatedRunner(engine, folder) for model, engine in engines.items()}

    app._load_engines = load_gated
    from service.commands.__main__ import run

    run()


if __name__ == "__main__":
    main()
