"""Where the service spends its time under load: samples of its stacks, by step.

Reads what `py-spy record -f raw -t` writes; several files become columns, such as before and
after. `benchmarks/README.md` has the commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

# The first of these that occurs in a stack says which step it is; so what is inside comes first.
LOOP_STEPS = {
    "draw and encode the heatmap": ("imaging/render.py", "TargetExplanation.heatmap", "pybase64"),
    "decode and fit the image": ("api/images.py", "imaging/decode.py", "imaging/fit.py"),
    "gather the fields, write JSON": ("api/answers.py", "api/attributed.py", "api/scores.py"),
    "read the body": ("api/inputs.py",),
    "check the options": ("api/options.py", "api/question.py", "api/formats.py"),
    "to the device thread and back": ("runtime/queue.py", "device_thread.py", "batcher.py"),
    "log": ("logging/__init__.py", "service/logs.py"),
    "count": ("service/metrics.py", "prometheus_client"),
    "request id, timings, headers": ("_request_id", "Timings"),
    "write the answer": ("RequestResponseCycle.send", "send_with_headers"),
    "route and framework": ("fastapi", "starlette", "api/middleware.py", "api/explain.py"),
    "read HTTP": ("httptools_impl.py", "service/server/protocol.py"),
    "the loop itself, its system calls": ("",),
}
DEVICE_STEPS = {
    "wait for a batch": ("Batcher.take", "_changed.wait"),
    "convolutions": ("lrp/convolution.py", "ConvolutionMap", "affine.py"),
    "linear layers": ("lrp/dense.py", "DenseMap"),
    "other rules, the graph, autograd": ("service/lrp/",),
    "to and from the device, answers": ("runtime/engine.py", "runtime/transfer.py"),
    "the thread itself": ("",),
}
_DEVICE = "device"  # in the name of its thread
Shares = dict[str, float]
console = Console()


def shares(text: str) -> Shares:
    """The share of the samples that each step has, device thread and event loop together.

    Parameters
    ----------
    text : str
        One stack in a line, outermost frame first, separated by `;`, and its number of samples.
    """
    found: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, n = line.rpartition(" ")
        found[step_of(stack)] += int(n)
    total = found.total()
    return {step: n / total for step, n in found.items()}


def step_of(stack: str) -> str:
    """The step that a stack belongs to, with its thread."""
    is_device = _DEVICE in stack.partition(";")[0]
    steps = DEVICE_STEPS if is_device else LOOP_STEPS
    step = next(name for name, parts in steps.items() if any(part in stack for part in parts))
    return f"{'device' if is_device else 'loop'}: {step}"


def to_table(columns: Sequence[tuple[str, Shares]]) -> Table:
    """One row for each step, in the order of a request."""
    names = [f"loop: {name}" for name in LOOP_STEPS] + [f"device: {name}" for name in DEVICE_STEPS]
    table = Table("step", *(name for name, _ in columns))
    for name in names:
        if any(name in found for _, found in columns):
            table.add_row(name, *(f"{found.get(name, 0.0):.1%}" for _, found in columns))
    return table


def main(files: Annotated[list[Path], typer.Argument(help="What py-spy has written")]) -> None:
    """Print the share of time of each step."""
    columns = [(file.stem, shares(file.read_text(encoding="utf-8"))) for file in files]
    console.print(to_table(columns))


if __name__ == "__main__":
    typer.run(main)
