"""The attributors besides the gradient: SmoothGrad, integrated gradients, occlusion.

All are batched over samples as well as images. The target is fixed once, on the clean image, and
no image depends on the others of its batch. Each pauses between its passes; what it computes does
not depend on the pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.passes import Passes, Pause
from service.methods import Method

AttributeFn = Callable[[Tensor, Sequence[OutputRelevance]], Passes[AttributionResult]]
PredictFn = Callable[[Tensor], Tensor]

# values of the network's input in one pass: 8 images of 32x32 stay in a CPU's cache
_VALUES_ON_CPU = 8 * 3 * 32 * 32
_VALUES_ON_GPU = 64 * 3 * 224 * 224


def smooth_grad(
    attribute: AttributeFn, images: Tensor, starts: Sequence[OutputRelevance], method: Method
) -> Passes[AttributionResult]:
    """The mean over noisy copies of each image, and the image itself.

    SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825, equation 1. A copy starts from its own
    logits, so the total is the mean over the copies too.

    Parameters
    ----------
    attribute : callable
        The gradient attributor, modified by rules or not.
    images : Tensor
        Normalized, shape (N, C, H, W).
    starts : sequence of OutputRelevance
        Rounds of targets.
    method : Method
        With `n_samples`, `noise_level` and `seed`.
    """
    clean = yield from attribute(images, starts)
    n_samples = int(method["n_samples"])
    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    scale = (float(method["noise_level"]) * (high - low)).view(-1, 1, 1, 1)
    relevances, layer_sums = list(clean.relevances), list(clean.layer_sums)
    totals = list(clean.totals)
    for noise in make_noise(images, n_samples - 1, int(method["seed"])):
        yield Pause.BETWEEN
        n = len(noise)
        noisy = (images + noise[:, None] * scale).flatten(0, 1)
        found = yield from attribute(noisy, [start.repeat(n) for start in clean.starts])
        relevances = _add(relevances, found.relevances, n)
        layer_sums = _add(layer_sums, found.layer_sums, n)
        totals = _add(totals, found.totals, n)
    return replace(
        clean,
        relevances=[relevance / n_samples for relevance in relevances],
        totals=[total / n_samples for total in totals],
        layer_sums=[one / n_samples for one in layer_sums],
    )


def integrated_gradients(
    attribute: AttributeFn,
    predict: PredictFn,
    images: Tensor,
    baseline: Tensor,
    starts: Sequence[OutputRelevance],
    method: Method,
) -> Passes[AttributionResult]:
    """The mean gradient between a baseline and the image, times their difference.

    Integrated gradients, Sundararajan et al. 2017, arXiv:1703.01365, equation 3.
    The sum of the relevance comes close to the difference of the logits as `n_steps` grows.

    Parameters
    ----------
    attribute, images, starts
        As in `smooth_grad`; `attribute` is the plain gradient.
    predict : callable
        Gives the logits of a batch.
    baseline : Tensor
        The image without any evidence, shape (1, C, H, W).
    method : Method
        With `n_steps`.
    """
    n_steps = int(method["n_steps"])
    logits = predict(images)
    fixed = [start.resolve_targets(logits) for start in starts]
    difference = images - baseline
    alphas = torch.linspace(1 / n_steps, 1.0, n_steps, device=images.device).to(images)
    means = [torch.zeros_like(images) for _ in fixed]
    for part in alphas.split(samples_at_once(images)):
        yield Pause.BETWEEN
        n = len(part)
        steps = (baseline + part.view(-1, 1, 1, 1, 1) * difference).flatten(0, 1)
        found = yield from attribute(steps, [start.repeat(n) for start in fixed])
        means = _add(means, [relevance / n_steps for relevance in found.relevances], n)
    from_baseline = predict(baseline.expand_as(images[:1])).expand_as(logits)
    totals = [start.target_logit(logits) - start.target_logit(from_baseline) for start in fixed]
    nothing = [logits.new_zeros(len(logits), 0) for _ in fixed]
    return AttributionResult(logits, fixed, [mean * difference for mean in means], totals, nothing)


def occlusion(
    predict: PredictFn,
    images: Tensor,
    hidden: Tensor,
    starts: Sequence[OutputRelevance],
    method: Method,
) -> Passes[AttributionResult]:
    """How far the target's logit falls when a square of the image is hidden.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    Squares that reach beyond the edge are cut there. A pixel gets the mean over the squares that
    hide it, divided evenly among its channels.

    Parameters
    ----------
    predict, images, starts
        As in `integrated_gradients`.
    hidden : Tensor
        What a hidden square shows, shape (1, C, H, W).
    method : Method
        With `window` and `stride`.
    """
    logits = predict(images)
    fixed = [start.resolve_targets(logits) for start in starts]
    rows, columns = (_spans(side, method, images.device) for side in images.shape[2:])
    falls = [images.new_zeros(len(images), *images.shape[2:]) for _ in fixed]
    for part in _squares(rows, columns, samples_at_once(images)):
        yield Pause.BETWEEN
        covered = torch.where(part[:, None, None], hidden, images)
        found = predict(covered.flatten(0, 1)).unflatten(0, (len(part), len(images)))
        for fall, start in zip(falls, fixed, strict=True):
            signs = start.one_hot_signs(logits)
            drops = (signs * (logits - found)).sum(2)
            fall.add_(torch.einsum("sn,shw->nhw", drops, part.to(drops)))
    n_channels = images.shape[1]
    counts = rows.sum(0)[:, None] * columns.sum(0)
    relevances = [
        (fall / counts / n_channels)[:, None].expand(-1, n_channels, -1, -1) for fall in falls
    ]
    nothing = [logits.new_zeros(len(logits), 0) for _ in fixed]
    return AttributionResult(
        logits, fixed, relevances, [s.target_logit(logits) for s in fixed], nothing
    )


def samples_at_once(images: Tensor) -> int:
    """How many samples of each image go into one pass."""
    values = _VALUES_ON_CPU if images.device.type == "cpu" else _VALUES_ON_GPU
    return max(1, values // images.numel())


def make_noise(images: Tensor, n: int, seed: int) -> Iterator[Tensor]:
    """Noise of shape (samples, C, H, W): the same for each image of a batch, as each has the seed.

    Each sample is drawn by itself on the CPU, as in a loop: a GPU gets the same numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (1, *images.shape[1:])
    while n > 0:
        n_now = min(n, samples_at_once(images))
        drawn = [torch.randn(shape, generator=generator, dtype=images.dtype) for _ in range(n_now)]
        noise = torch.cat(drawn)
        if images.is_cuda:
            noise = noise.pin_memory()
        yield noise.to(images.device, non_blocking=True)
        n -= n_now


def _add(totals: list[Tensor], found: list[Tensor], n_samples: int) -> list[Tensor]:
    """Add samples, of which `found` has `n_samples` for each image, to totals."""
    samples = [one.unflatten(0, (n_samples, -1)).sum(0) for one in found]
    return [total + sample for total, sample in zip(totals, samples, strict=True)]


def _squares(rows: Tensor, columns: Tensor, n_at_once: int) -> Iterator[Tensor]:
    """Masks of all squares, bool of shape (squares, H, W), in chunks."""
    n_squares = len(rows) * len(columns)
    for part in torch.arange(n_squares, device=rows.device).split(n_at_once):
        row, column = part // len(columns), part % len(columns)
        yield rows[row][:, :, None] & columns[column][:, None, :]


def _spans(side: int, method: Method, device: torch.device) -> Tensor:
    """Rows, or columns, that each square hides; bool of shape (spans, side)."""
    starts = torch.arange(0, side, int(method["stride"]), device=device)[:, None]
    places = torch.arange(side, device=device)[None]
    return (places >= starts) & (places < starts + int(method["window"]))
