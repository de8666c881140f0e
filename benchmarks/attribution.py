"""The twin beside zennit: operations, CPU time, memory, and how far both are from the limit.

Run by `make engine`. Everything is measured in one process on one thread, in turns, so the ratios
mean something on a machine that does other work too; the absolute times do not.
"""

from __future__ import annotations

import copy
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import COMPOSITES as ZENNIT_COMPOSITES

from benchmarks.flops import count
from service.lrp.attribution.output_relevance import Start
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, make_method
from service.models.architectures import build
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.device import open_device

Call = Callable[[], object]
DEFAULT = "epsilon_plus_flat"
TIMED = (DEFAULT, "epsilon_gamma_box", "epsilon_alpha2_beta1")
GOALS = {  # of the issue that the engine was built for
    "flops": {DEFAULT: 3.0, "epsilon_gamma_box": 5.0, "epsilon_alpha2_beta1": 4.0},
    "minivgg": 2.5,
    "large": 1.8,
}
console = Console()


@dataclass(frozen=True)
class Case:
    """One network, one batch, one composite: the ways to explain it.

    Attributes
    ----------
    naive : callable
        zennit as a tutorial has it: its attributor and composite on the network as it is.
    oracle : callable
        zennit on the service's canonized network, in the service's memory layout.
    twin : callable
        The service's engine.
    forward : callable
        The network's own forward pass in the service's layout.
    """

    naive: Call
    oracle: Call
    twin: Call
    forward: Call


def make_case(model: nn.Module, images: Tensor, composite: str) -> Case:
    """Make the ways; the network is copied, as the engine changes its memory layout."""
    method = make_method(composite, "gradient", {})
    starts = [Start.predicted(len(images), images.device)]
    explainer = Explainer(copy.deepcopy(model))
    oracle = explainer.oracle(method).gradient
    naive = Gradient(model, _zennit(composite, images))
    layout = torch.channels_last if images.device.type == "cpu" else torch.contiguous_format
    arranged = images.contiguous(memory_format=layout)
    return Case(
        naive=lambda: naive(images, _one_hot),
        oracle=lambda: oracle.find(arranged, starts),
        twin=lambda: explainer.explain(arranged, starts, method),
        forward=lambda: explainer.predict(arranged),
    )


def _zennit(composite: str, images: Tensor) -> Any:
    if composite == "none":
        return None
    zero = torch.zeros(1, 3, 1, 1, device=images.device)
    box = {"low": zero, "high": zero + 1} if composite == "epsilon_gamma_box" else {}
    return ZENNIT_COMPOSITES[composite](**box)


def _one_hot(logits: Tensor) -> Tensor:
    return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


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
            "goal": GOALS["flops"].get(name) if isinstance(GOALS["flops"], dict) else None,
            "operators": {"zennit": zennit.operators, "twin": twin.operators},
        }
        rows.append(row)
        goal = "-" if row["goal"] is None else f"<= {row['goal']}"
        numbers = (f"{row['zennit']:.2f}", f"{row['twin']:.2f}", goal)
        table.add_row(name, *numbers, str(zennit.operators), str(twin.operators))
    console.print(table)
    return rows


def report_times(cases: Sequence[tuple[str, int, str, Case, int, float]]) -> list[dict[str, Any]]:
    """CPU time of zennit over that of the twin."""
    table = Table(
        "network", "batch", "composite", "n", "zennit ms", "twin ms", "zennit / twin (quartiles)",
        "goal", "canonized zennit / twin", "twin in forwards", title="CPU time",
    )  # fmt: skip
    rows = []
    for network, batch, composite, case, n, goal in cases:
        naive, oracle, twin, forward = time_in_turns(
            (case.naive, case.oracle, case.twin, case.forward), n
        )
        ratios = [one / other for one, other in zip(naive, twin, strict=True)]
        low, _, high = quantiles(ratios, n=4)
        row = {
            "network": network,
            "batch": batch,
            "composite": composite,
            "n": n,
            "zennit_ms": median(naive) * 1e3,
            "twin_ms": median(twin) * 1e3,
            "ratio": median(ratios),
            "quartiles": [low, high],
            "goal": goal,
            "ratio_to_canonized": median(a / b for a, b in zip(oracle, twin, strict=True)),
            "twin_in_forwards": median(twin) / median(forward),
            "gflop_per_s": count(case.twin).flops / median(twin) / 1e9,
            "forward_gflop_per_s": count(case.forward).flops / median(forward) / 1e9,
        }
        rows.append(row)
        table.add_row(
            network, str(batch), composite, str(n), f"{row['zennit_ms']:.1f}",
            f"{row['twin_ms']:.1f}", f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
            f">= {goal}", f"{row['ratio_to_canonized']:.2f}", f"{row['twin_in_forwards']:.2f}",
        )  # fmt: skip
    console.print(table)
    return rows


def report_limit(rows: Sequence[dict[str, Any]]) -> float:
    """How much of the machine's best rate is reached; that is the rate of a large convolution."""
    images = torch.rand(8, 256, 28, 28).contiguous(memory_format=torch.channels_last)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    with torch.no_grad():
        times = time_in_turns([lambda: layer(images)], 9)[0]
    best = count(lambda: layer(images)).flops / median(times) / 1e9
    table = Table(
        "network", "batch", "composite", "twin", "forward alone", "share of the best",
        title=f"GFLOP/s on one thread; the best rate, of a large convolution: {best:.0f}",
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
        alone.way(make_method(name, "gradient", {}))
        together.way(make_method(name, "gradient", {}))
        found[name] = alone.twin_bytes
    found["all together"] = together.twin_bytes
    for name, size in found.items():
        table.add_row(name, f"{size / 1e6:.2f}")
    console.print(table)
    return found


def small_cases(model: nn.Module, n: int) -> list[tuple[str, int, str, Case, int, float]]:
    """MiniVGG, the one that ships."""
    generator = torch.Generator().manual_seed(0)
    cases = []
    for composite in TIMED:
        for batch in (1, 8, 32):
            images = torch.randn(batch, 3, 32, 32, generator=generator)
            repeats = max(n // 2, n // batch)
            case = make_case(model, images, composite)
            cases.append(("minivgg", batch, composite, case, repeats, 2.5))
    return cases


def large_cases(n: int) -> list[tuple[str, int, str, Case, int, float]]:
    """ResNet50 and VGG16 with random weights."""
    torch.manual_seed(0)
    images = torch.randn(1, 3, 224, 224)
    models = {name: build(name, 1000).eval() for name in ("resnet50", "vgg16")}
    return [
        (name, 1, DEFAULT, make_case(model.requires_grad_(False), images, DEFAULT), n, 1.8)
        for name, model in models.items()
    ]


def report_gpu(model: nn.Module) -> list[dict[str, Any]]:
    """The same on a GPU, timed by its events."""
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
    """What it ran on."""
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
    """Print the twin beside zennit."""
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
