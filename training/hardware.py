"""Precision and hardware of a run."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from service.evaluation.versions import library_versions

__all__ = ["autocast_dtype", "describe_hardware", "library_versions"]


def autocast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if the device supports it, else float32 (no autocast)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    has_bf16 = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return torch.bfloat16 if has_bf16 else torch.float32


def describe_hardware(device: torch.device) -> str:
    """The processor's name and the number of threads, or the GPU's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n_threads = torch.get_num_threads()
    return f"{_cpu_name()}, {n_threads} {'thread' if n_threads == 1 else 'threads'}"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
