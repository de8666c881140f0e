"""Registry of attributors: how relevance is computed from gradients or from occlusion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from service.errors import OptionError
from service.methods.parameters import (
    BASELINE,
    N_SAMPLES,
    N_STEPS,
    NOISE_LEVEL,
    SEED,
    STRIDE,
    WINDOW,
    Parameter,
    Value,
)

Start = Literal["one_hot", "logit"]
STARTS: tuple[Start, ...] = ("one_hot", "logit")
DEFAULT_ATTRIBUTOR = "gradient"
MAX_WINDOWS = 1024
# the parameter with the number of samples of an attributor that takes several
SAMPLES_OF: Mapping[str, str] = MappingProxyType(
    {"smooth_grad": N_SAMPLES.name, "integrated_gradients": N_STEPS.name}
)


@dataclass(frozen=True)
class Attributor:
    """A method of attribution.

    Attributes
    ----------
    name, text, source : str
        Its name in requests, a one-sentence description, and the publication.
    parameters : tuple of Parameter
        Parameters of a request.
    is_modified : bool
        Whether composites, layers and starts apply; otherwise it explains the unmodified network,
        from its logits to its input.
    """

    name: str
    text: str
    source: str
    parameters: tuple[Parameter, ...]
    is_modified: bool


ATTRIBUTORS: Mapping[str, Attributor] = MappingProxyType(
    {
        attributor.name: attributor
        for attributor in (
            Attributor(
                DEFAULT_ATTRIBUTOR,
                "One backward pass, modified by the composite's rules.",
                "Bach et al. 2015, PLOS ONE 10(7):e0130140",
                (),
                is_modified=True,
            ),
            Attributor(
                "smooth_grad",
                "The mean over noisy copies of the image: what stays when the noise is gone.",
                "Smilkov et al. 2017, arXiv:1706.03825",
                (N_SAMPLES, NOISE_LEVEL, SEED),
                is_modified=True,
            ),
            Attributor(
                "integrated_gradients",
                "The plain gradient along the path from a baseline to the image: its sum is the "
                "difference of the logits.",
                "Sundararajan et al. 2017, arXiv:1703.01365",
                (N_STEPS, BASELINE),
                is_modified=False,
            ),
            Attributor(
                "occlusion",
                "How far the logit falls when a square of the image is hidden behind the mean "
                "colour; where squares overlap, their mean.",
                "Zeiler and Fergus 2014, arXiv:1311.2901",
                (WINDOW, STRIDE),
                is_modified=False,
            ),
        )
    }
)


def occlusion_grid(given: Mapping[str, Value], input_size: tuple[int, int]) -> dict[str, Value]:
    """Fill in window and stride, and limit the number of windows.

    Parameters
    ----------
    given : mapping
        `window` and `stride` of the request, where given.
    input_size : tuple of 2 int
        Height and width of the network's input, in pixels.

    Raises
    ------
    OptionError
        The stride leaves pixels out, or there are more than `MAX_WINDOWS` windows.
    """
    window = int(given.get("window", _default_window(input_size)))
    stride = int(given.get("stride", max(1, window // 2)))
    if window > min(input_size):
        raise OptionError.of("window", f"must be at most {min(input_size)}, the network's input")
    if stride > window:
        raise OptionError.of("stride", f"must be at most {window}, the window")
    n_windows = count_windows(input_size, stride)
    if n_windows > MAX_WINDOWS:
        raise OptionError.of(
            "stride", f"{stride} makes {n_windows} windows; the limit is {MAX_WINDOWS}: raise it"
        )
    return {"window": window, "stride": stride}


def _default_window(input_size: tuple[int, int]) -> int:
    """A quarter of the shorter side; more for elongated images, to keep to `MAX_WINDOWS`."""
    shorter = min(input_size)
    window = max(1, shorter // 4)
    while window < shorter and count_windows(input_size, max(1, window // 2)) > MAX_WINDOWS:
        window = min(2 * window, shorter)
    return window


def count_windows(input_size: tuple[int, int], stride: int) -> int:
    """Count the squares that occlusion hides in turn."""
    height, width = input_size
    return math.ceil(height / stride) * math.ceil(width / stride)
