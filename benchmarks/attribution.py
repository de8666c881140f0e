"""The engine beside zennit: operations, CPU time, memory, and the share of the machine's peak.

Run by `make engine`. Everything is measured in one process on one thread, in turns, so the ratios
mean something on a machine that does other work too; the absolute times do not.
"""

from __future__ import annotations

import copy
import json
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.cases import DEFAULT, Call, TimedCase, large_cases, make_case, small_cases
from benchmarks.flops import count
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, make_method
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.device import open_device

# the most operations, in forward passes
FLOPS_GOALS = {DEFAULT: 3.0, "epsilon_gamma_box": 5.0, "epsilon_alpha2_beta1": 4.0}
console = Console()


def time_in_turns(calls: Sequence[Call], n: int) -> list[list[float]]:
    """CPU seconds of each call, `n` times, in turns; the first round is not counted."""
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(n + 1):
        for times, call in zip(found, calls, strict=True):
            began = time.process_time()
            call()
            if turn > 0:
                times.append(time.process_time() - began)
    return found


def report_flops(model: nn.Module, images: Tensor) -> list[dict[str, Any]]:
    """Operations of every composite on MiniVGG, in forward passes of the network."""
    table = Table(
        "composite",
        "zennit",
        "twin",
        "goal",
        "operators: zennit",
        "twin",
        title="FLOPs in forwards",
    )
    rows = []
    for name in COMPOSITES:
        case = make_case(model, images, name)
        forward = count(lambda: model(images)).flops
        zennit, twin = count(case.naive), count(case.twin)
        row = {
            "composite": name,
            "zennit": zennit.flops / forward,
            "twin": twin.flops / forward,
            "goal": FLOPS_GOALS.get(name),
            "operators": {"zennit": zennit.operators, "twin": twin.operators},
        }
        rows.append(row)
        goal = "-" if row["goal"] is None else f"<= {row['goal']}"
        numbers = (f"{row['zennit']:.2f}", f"{row['twin']:.2f}", goal)
        table.add_row(name, *numbers, str(zennit.operators), str(twin.operators))
    console.print(table)
    return rows


def report_times(cases: Sequence[TimedCase]) -> list[dict[str, Any]]:
    """CPU time of zennit over CPU time of the twin."""
    table = Table(
        "network", "batch", "composite", "n", "zennit ms", "twin ms", "zennit / twin (quartiles)",
        "goal", "canonized zennit / twin", "twin in forwards", title="CPU time",
    )  # fmt: skip
    rows = [_timed(case) for case in cases]
    for row in rows:
        low, high = row["quartiles"]
        table.add_row(
            row["network"], str(row["batch"]), row["composite"], str(row["n"]),
            f"{row['zennit_ms']:.1f}", f"{row['twin_ms']:.1f}",
            f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})", f">= {row['goal']}",
            f"{row['ratio_to_canonized']:.2f}", f"{row['twin_in_forwards']:.2f}",
        )  # fmt: skip
    console.print(table)
    return rows


def _timed(timed: TimedCase) -> dict[str, Any]:
    """The times of a case, its ratios, and its rates in GFLOP/s."""
    case = timed.case
    naive, oracle, twin, forward = time_in_turns(
        (case.naive, case.oracle, case.twin, case.forward), timed.n
    )
    ratios = [one / other for one, other in zip(naive, twin, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return {
        "network": timed.network,
        "batch": timed.batch,
        "composite": timed.composite,
        "n": timed.n,
        "zennit_ms": median(naive) * 1e3,
        "twin_ms": median(twin) * 1e3,
        "ratio": median(ratios),
        "quartiles": [low, high],
        "goal": timed.goal,
        "ratio_to_canonized": median(a / b for a, b in zip(oracle, twin, strict=True)),
        "twin_in_forwards": median(twin) / median(forward),
        "gflop_per_s": count(case.twin).flops / median(twin) / 1e9,
        "forward_gflop_per_s": count(case.forward).flops / median(forward) / 1e9,
    }


def report_limit(rows: Sequence[dict[str, Any]]) -> float:
    """Rates as shares of the peak, which is the rate of a large convolution."""
    images = torch.rand(8, 256, 28, 28).contiguous(memory_format=torch.channels_last)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    with torch.no_grad():
        times = time_in_turns([lambda: layer(images)], 9)[0]
    best = count(lambda: layer(images)).flops / median(times) / 1e9
    table = Table(
        "network", "batch", "composite", "twin", "forward alone", "share of the peak",
        title=f"GFLOP/s on one thread; the peak, of a large convolution: {best:.0f}",
    )  # fmt: skip
    for row in rows:
        rates = (row["gflop_per_s"], row["forward_gflop_per_s"])
        table.add_row(
            row["network"], str(row["batch"]), row["composite"],
            *(f"{rate:.0f}" for rate in rates), f"{rates[0] / best:.0%}",
        )  # fmt: skip
    console.print(table)
    return best


def report_memory(model: nn.Module) -> dict[str, int]:
    """Modified weights of each composite, and of all together."""
    table = Table("composite", "MB", title="Memory of the modified weights")
    own = sum(parameter.nbytes for parameter in model.parameters())
    found = {"the network itself": own}
    together = Explainer(copy.deepcopy(model))
    for name in COMPOSITES:
        alone = Explainer(copy.deepcopy(model))
        alone.prepare(make_method(name, "gradient", {}))
        together.prepare(make_method(name, "gradient", {}))
        found[name] = alone.twin_bytes
    found["all together"] = together.twin_bytes
    for name, size in found.items():
        table.add_row(name, f"{size / 1e6:.2f}")
    console.print(table)
    return found


def report_gpu(model: nn.Module) -> list[dict[str, Any]]:
    """GPU time of zennit over GPU time of the twin, by CUDA events."""
    if not torch.cuda.is_available():
        console.print("GPU: there is none here, so nothing was measured on one")
        return []
    device = open_device("cuda")
    rows = []
    for batch in (1, 256):
        images = torch.randn(batch, 3, 32, 32, device=device)
        case = make_case(copy.deepcopy(model).to(device), images, DEFAULT)
        naive, twin = (_time_on_gpu(call) for call in (case.naive, case.twin))
        rows.append({"batch": batch, "zennit_ms": naive, "twin_ms": twin, "ratio": naive / twin})
        console.print(f"GPU, batch {batch}: zennit / twin {naive / twin:.2f}")
    return rows


def _time_on_gpu(call: Call, n: int = 30) -> float:
    times = []
    for _ in range(n):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        call()
        ended.record()
        torch.cuda.synchronize()
        times.append(began.elapsed_time(ended))
    return float(median(times[n // 3 :]))


def machine() -> dict[str, str]:
    """The processor and the versions that were measured."""
    cpu = next(
        (line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")),
        platform.processor(),
    )
    versions = {name: version(name) for name in ("torch", "torchvision", "zennit")}
    return {"cpu": cpu, "threads": "1", "python": platform.python_version(), **versions}


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main(
    quick: Annotated[bool, typer.Option(help="Few repetitions")] = False,
    out: Annotated[Path | None, typer.Option(help="Write everything there as JSON")] = None,
) -> None:
    """Measure the engine beside zennit."""
    torch.set_num_threads(1)
    console.print(machine())
    model = read_bundle(find_bundle("minivgg-cifar10")).model
    found: dict[str, Any] = {"machine": machine()}
    found["flops"] = report_flops(model, torch.randn(1, 3, 32, 32))
    cases = [*small_cases(model, 10 if quick else 60), *large_cases(2 if quick else 7)]
    found["times"] = report_times(cases)
    found["best_gflop_per_s"] = report_limit(found["times"])
    found["memory"] = report_memory(model)
    found["gpu"] = report_gpu(model)
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
