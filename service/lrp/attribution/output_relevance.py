"""Where relevance starts: at the logits of a target, or of a target against a contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class OutputRelevance:
    """One target for each image of a batch. Nothing here waits for the device.

    Attributes
    ----------
    targets : Tensor
        Index of the class to explain, int64 of shape (N,); -1 for the predicted one.
    contrasts : Tensor
        Index of the class to explain it against, likewise; -1 for none.
    is_logit : Tensor
        Whether the relevance to start from is the logit, not 1; bool of shape (N,).
    """

    targets: Tensor
    contrasts: Tensor
    is_logit: Tensor

    @classmethod
    def predicted(cls, n: int, device: torch.device | None = None) -> OutputRelevance:
        """Start from 1 at the predicted class of each of `n` images."""
        nothing = torch.full((n,), -1, device=device)
        return cls(nothing, nothing, torch.zeros(n, dtype=torch.bool, device=device))

    def resolve_targets(self, logits: Tensor) -> OutputRelevance:
        """Put the predicted classes in, so that the targets do not depend on logits any more."""
        return replace(self, targets=torch.where(self.targets < 0, logits.argmax(1), self.targets))

    def repeat(self, n: int) -> OutputRelevance:
        """Repeat the whole batch `n` times."""
        return OutputRelevance(
            self.targets.repeat(n), self.contrasts.repeat(n), self.is_logit.repeat(n)
        )

    def one_hot_signs(self, logits: Tensor) -> Tensor:
        """+1 at the target and -1 at the contrast, shape (N, num_classes); 0 if they are one."""
        classes = torch.arange(logits.shape[1], device=logits.device)
        is_target = classes == self.resolve_targets(logits).targets[:, None]
        return is_target.to(logits) - (classes == self.contrasts[:, None]).to(logits)

    def relevance(self, logits: Tensor) -> Tensor:
        """The relevance of each logit to start from, shape (N, num_classes)."""
        signs = self.one_hot_signs(logits)
        return torch.where(self.is_logit[:, None], signs * logits, signs)

    def target_logit(self, logits: Tensor) -> Tensor:
        """The logit of the target, less that of the contrast, shape (N,)."""
        return (self.one_hot_signs(logits) * logits).sum(1)
