"""Evidence about the explanations of a batch, from the very images that are explained.

Squares of an image are hidden in the order of their relevance, in the reverse order and in random
ones, and noisy copies are explained. It pauses between passes; what it computes does not depend on
the pauses, and no image depends on the others of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from service.evidence.cost import (
    FILL,
    N_COPIES,
    N_RANDOM_ORDERS,
    N_STEPS,
    NOISE_LEVEL,
    SEED,
    patch_side,
)
from service.evidence.curves import PredictFn
from service.evidence.fills import FILLS
from service.evidence.orders import least_relevant_first, most_relevant_first, random_orders
from service.evidence.patches import PatchGrid
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.attribution.sampling import AttributeFn, make_noise, samples_at_once
from service.lrp.passes import Passes, Pause

Starts = Sequence[OutputRelevance]


@dataclass(frozen=True, eq=False)
class Explained:
    """A batch with its explanations, and what computes them.

    Attributes
    ----------
    images : Tensor
        Normalized, shape (N, C, H, W).
    result : AttributionResult
        Relevance of shape (N, C, H, W), or of a layer with height and width.
    predict : callable
        Gives the logits of a batch.
    explain : callable
        Explains a batch with the same method.
    """

    images: Tensor
    result: AttributionResult
    predict: PredictFn
    explain: AttributeFn

    @property
    def grid(self) -> PatchGrid:
        """The squares that are hidden."""
        height, width = self.images.shape[2:]
        return PatchGrid(height, width, patch_side((height, width)))


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured for one target of each image.

    Attributes
    ----------
    curves : Tensor
        Log-odds at each share that is hidden, shape (N, 2 + random orders, steps + 1): most
        relevant first, least relevant first, and random.
    has_order : Tensor
        Whether any square is more relevant than another, bool of shape (N,).
    similarities : Tensor
        Correlations with the maps of noisy copies, shape (N, copies).
    """

    curves: Tensor
    has_order: Tensor
    similarities: Tensor


def hidden_counts(n_patches: int) -> list[int]:
    """Numbers of squares that are hidden in turn, from none to all."""
    return [round(n_patches * step / N_STEPS) for step in range(N_STEPS + 1)]


def measure(explained: Explained) -> Passes[list[Measured]]:
    """Measure the evidence for each target."""
    maps = [_fit(relevance, explained.images) for relevance in explained.result.relevances]
    curves = yield from _deletion(explained, maps)
    similarities = yield from _stability(explained)
    means = [explained.grid.means(one) for one in maps]
    return [
        Measured(curve, mean.amax(1) > mean.amin(1), similarity)
        for curve, mean, similarity in zip(curves, means, similarities, strict=True)
    ]


def log_odds(start: OutputRelevance, logits: Tensor) -> Tensor:
    """Log-odds of the target against the contrast or, without one, against all other classes.

    The sigmoid of it is the softmax probability of the target; with a contrast, its share of the
    probability of both. So it rises and falls with what a map explains, and has no ceiling.
    """
    classes = torch.arange(logits.shape[1], device=logits.device)
    is_target = classes == start.targets[:, None]
    is_other = torch.where(
        start.contrasts[:, None] < 0, ~is_target, classes == start.contrasts[:, None]
    )
    others = logits.masked_fill(~is_other, -torch.inf).logsumexp(1)
    return logits.gather(1, start.targets[:, None])[:, 0] - others


def _fit(relevance: Tensor, images: Tensor) -> Tensor:
    """A map of the size of the images, shape (N, H, W); that of a layer has larger pixels."""
    summed = relevance.sum(1)
    if summed.shape[1:] == images.shape[2:]:
        return summed
    height, width = images.shape[2:]
    return F.adaptive_avg_pool2d(summed[:, None], (height, width))[:, 0]


def _deletion(explained: Explained, maps: Sequence[Tensor]) -> Passes[list[Tensor]]:
    """The curves of each target, as `Measured` has them."""
    images, grid, result = explained.images, explained.grid, explained.result
    orders = _orders(grid, maps)
    counts = hidden_counts(grid.n_patches)
    pairs = [(order, count) for order in range(orders.shape[1]) for count in counts[1:-1]]
    found = []
    for samples in _chunks([*pairs, (0, counts[-1])], samples_at_once(images)):
        yield Pause.BETWEEN
        chosen, n_hidden = torch.tensor(samples, device=images.device).T
        ranks = grid.ranks(orders[:, chosen].transpose(0, 1).flatten(0, 1))
        hidden = ranks.unflatten(0, (len(samples), -1)) < n_hidden.view(-1, 1, 1, 1)
        copies = images.repeat(len(samples), 1, 1, 1)
        filled = FILLS[FILL](copies, hidden.flatten(0, 1), torch.Generator().manual_seed(SEED))
        found.append(explained.predict(filled).unflatten(0, (len(samples), len(images))))
    logits = torch.cat(found)
    return [
        _curves_of(start, result.logits, logits, n, len(maps))
        for n, start in enumerate(result.starts)
    ]


def _orders(grid: PatchGrid, maps: Sequence[Tensor]) -> Tensor:
    """Two orders of each target, then the random ones: int64 of shape (N, orders, patches)."""
    own = [
        sort(grid, one, SEED)
        for one in maps
        for sort in (most_relevant_first, least_relevant_first)
    ]
    drawn = random_orders(grid, N_RANDOM_ORDERS, torch.Generator().manual_seed(SEED))
    common = drawn.to(maps[0].device).expand(len(maps[0]), -1, -1)
    return torch.cat([torch.stack(own, 1), common], 1)


def _curves_of(
    start: OutputRelevance, clean: Tensor, logits: Tensor, n: int, n_targets: int
) -> Tensor:
    """The curves of the `n`-th target, from the logits of all samples."""
    odds = log_odds(start.repeat(len(logits)), logits.flatten(0, 1)).unflatten(0, logits.shape[:2])
    inner = odds[:-1].unflatten(0, (2 * n_targets + N_RANDOM_ORDERS, N_STEPS - 1))
    inner = torch.cat([inner[2 * n : 2 * n + 2], inner[2 * n_targets :]]).permute(2, 0, 1)
    first, last = (
        one[:, None, None].expand(-1, inner.shape[1], 1)
        for one in (log_odds(start, clean), odds[-1])
    )
    return torch.cat([first, inner, last], 2)


def _stability(explained: Explained) -> Passes[list[Tensor]]:
    """Correlations of the relevance of each target with that of noisy copies."""
    images, result = explained.images, explained.result
    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    scale = (NOISE_LEVEL * (high - low)).view(-1, 1, 1, 1)
    found: list[list[Tensor]] = [[] for _ in result.starts]
    for noise in make_noise(images, N_COPIES, SEED):
        yield Pause.BETWEEN
        n = len(noise)
        noisy = (images + noise[:, None] * scale).flatten(0, 1)
        copies = yield from explained.explain(noisy, [start.repeat(n) for start in result.starts])
        for similar, clean, relevance in zip(
            found, result.relevances, copies.relevances, strict=True
        ):
            similar.append(_correlation(clean, relevance.unflatten(0, (n, len(images)))))
    return [torch.cat(similar).T for similar in found]


def _correlation(clean: Tensor, copies: Tensor) -> Tensor:
    """Pearson correlation of maps, summed over the channels: shape (copies, N); NaN if constant."""
    a, b = (one.sum(-3).flatten(-2).double() for one in (clean, copies))
    a, b = (one - one.mean(-1, keepdim=True) for one in (a, b))
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()


def _chunks(
    pairs: Sequence[tuple[int, int]], n_at_once: int
) -> Iterator[Sequence[tuple[int, int]]]:
    for first in range(0, len(pairs), n_at_once):
        yield pairs[first : first + n_at_once]
