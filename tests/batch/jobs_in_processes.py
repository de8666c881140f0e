"""Batch jobs in processes of their own that start at once, and end themselves where they are told.

Run as a program, it loads the model once, and forks a process for each line of standard input: a
JSON object with the arguments of `BatchArguments`, and the file operation before which the process
kills itself. The line that it prints is the number of the process; the next is its wait status and
the number of its file operations.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]


@dataclass
class JobProcess:
    """A process that was started."""

    pid: int
    answers: IO[str]

    def kill(self) -> None:
        """Kill it, unless it has ended: nobody else can have its number before `wait`."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> tuple[int, int]:
        """Exit status, negative for a signal, and file operations, 0 if it was killed."""
        status, n_operations = json.loads(self.answers.readline())
        return os.waitstatus_to_exitcode(status), n_operations


@dataclass(frozen=True)
class Starter:
    """Starts processes."""

    process: subprocess.Popen[str]

    def start(self, kill_before: int | None = None, **arguments: Any) -> JobProcess:
        """Start a job; `kill_before` counts its file operations from 0."""
        assert self.process.stdin
        assert self.process.stdout
        request = {"kill_before": kill_before, "arguments": arguments}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return JobProcess(int(self.process.stdout.readline()), self.process.stdout)

    def run(self, **arguments: Any) -> tuple[int, int]:
        """Start a job and wait for its end."""
        return self.start(**arguments).wait()


@contextmanager
def starter(errors: Path) -> Iterator[Starter]:
    """The program, whose standard error is a file."""
    with errors.open("w") as file:
        command = [sys.executable, "-m", "tests.batch.jobs_in_processes"]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        ) as process:
            yield Starter(process)
            assert process.stdin
            process.stdin.close()


def main() -> None:
    """Start a process for each line of standard input."""
    os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads of OpenMP cannot be forked
    # each process would have to load them anew
    for name in ("h5py", "matplotlib", "pandas", "pyarrow.parquet", "zarr"):
        import_module(name)

    from service.commands import batch
    from service.models.registry import find_bundle
    from service.runtime.engines import load_engines
    from service.settings import load_settings

    settings = load_settings()
    models = {settings.model: find_bundle(settings.model)}
    (engine,) = load_engines(models, "cpu", measures_batches=False).values()
    vars(batch)["load_engine"] = lambda settings, n_images: engine
    for line in sys.stdin:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os._exit(run_job(json.loads(line), write_end))
        os.close(write_end)
        answer(pid)
        with os.fdopen(read_end) as pipe:
            answer([os.waitpid(pid, 0)[1], int(pipe.read() or 0)])


def answer(value: object) -> None:
    """Write a line to standard output."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def run_job(request: Mapping[str, Any], write_end: int) -> int:
    """Run a job in this process."""
    from service.commands.batch import BatchArguments, explain_batch
    from service.settings import load_settings

    arguments = dict(request["arguments"])
    output = arguments["out"] = Path(arguments["out"])
    n_operations = 0

    def count(event: str, values: tuple[Any, ...]) -> None:
        nonlocal n_operations
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"):
            return
        if str(values[0]).startswith(str(output)):
            if n_operations == request["kill_before"]:
                os.kill(os.getpid(), signal.SIGKILL)
            n_operations += 1

    sys.addaudithook(count)
    status = explain_batch(load_settings(), BatchArguments(**arguments), {})
    os.write(write_end, str(n_operations).encode())
    return status


if __name__ == "__main__":
    main()
