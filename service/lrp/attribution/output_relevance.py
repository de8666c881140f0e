"""Output relevance: that of the logits of a target, or of a target against a contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class OutputRelevance:
    """Targets of a batch, and the relevance of their logits. Never synchronizes with the device.

    Attributes
    ----------
    targets : Tensor
        Index of the class to explain, int64 of shape (N,); -1 for the predicted class.
    contrasts : Tensor
        Index of the class to explain it against, likewise; -1 for none.
    is_logit : Tensor
        Whether the relevance of the target is its logit, not 1; bool of shape (N,).
    """

    targets: Tensor
    contrasts: Tensor
    is_logit: Tensor

    @classmethod
    def predicted(
        cls, n: int, device: torch.device | None = None, *, is_logit: bool = False
    ) -> OutputRelevance:
        """Start from 1, or from the logit, at the predicted class of each of `n` images."""
        nothing = torch.full((n,), -1, device=device)
        return cls(nothing, nothing, torch.full((n,), is_logit, device=device))

    def resolve_targets(self, logits: Tensor) -> OutputRelevance:
        """Replace -1 by the predicted class, so that targets no longer depend on logits."""
        return replace(self, targets=torch.where(self.targets < 0, logits.argmax(1), self.targets))

    def repeat(self, n: int) -> OutputRelevance:
        """Repeat the whole batch `n` times."""
        return OutputRelevance(
            self.targets.repeat(n), self.contrasts.repeat(n), self.is_logit.repeat(n)
        )

    def one_hot_signs(self, logits: Tensor) -> Tensor:
        """+1 at the target, -1 at the contrast, 0 where they are equal; shape (N, num_classes)."""
        classes = torch.arange(logits.shape[1], device=logits.device)
        is_target = classes == self.resolve_targets(logits).targets[:, None]
        return is_target.to(logits) - (classes == self.contrasts[:, None]).to(logits)

    def relevance(self, logits: Tensor) -> Tensor:
        """Relevance of each logit, shape (N, num_classes)."""
        signs = self.one_hot_signs(logits)
        return torch.where(self.is_logit[:, None], signs * logits, signs)

    def target_logit(self, logits: Tensor) -> Tensor:
        """Logit of the target minus logit of the contrast, shape (N,)."""
        return (self.one_hot_signs(logits) * logits).sum(1)
