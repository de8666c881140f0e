"""Where relevance starts: targets, contrasts and logits, in matrices by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from service.lrp.attribution.output_relevance import OutputRelevance

LOGITS = torch.tensor([[0.5, 2.0, -1.0], [3.0, -2.0, 1.0], [-4.0, -3.0, -5.0], [0.0, 1.0, 7.0]])
N, N_CLASSES = LOGITS.shape
PREDICTED = [1, 0, 1, 2]


def make(
    targets: list[int], contrasts: list[int] | None = None, *, logit: bool = False
) -> OutputRelevance:
    nothing = [-1] * len(targets)
    is_logit = torch.tensor([logit] * len(targets))
    return OutputRelevance(torch.tensor(targets), torch.tensor(contrasts or nothing), is_logit)


def rows(values: list[list[float]]) -> Tensor:
    return torch.tensor(values)


def test_predicted_starts_from_one_at_the_largest_logit() -> None:
    wanted = rows([[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert torch.equal(OutputRelevance.predicted(N).relevance(LOGITS), wanted)


def test_a_given_target_is_taken_whatever_is_predicted() -> None:
    wanted = rows([[0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert torch.equal(make([2, 0, 0, 1]).relevance(LOGITS), wanted)


def test_a_batch_may_mix_given_and_predicted_targets() -> None:
    wanted = rows([[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert torch.equal(make([-1, 2, -1, 0]).relevance(LOGITS), wanted)


def test_a_contrast_starts_from_minus_one() -> None:
    wanted = rows([[-1, 1, 0], [0, -1, 1], [1, 0, 0], [0, -1, 1]])
    assert torch.equal(make([-1, 2, 0, -1], [0, 1, -1, 1]).relevance(LOGITS), wanted)


def test_a_logit_start_has_the_logits_of_target_and_contrast() -> None:
    start = make([-1, 2, 0, -1], [0, 1, -1, 1], logit=True)
    wanted = rows([[-0.5, 2, 0], [0, 2, 1], [-4, 0, 0], [0, -1, 7]])
    assert torch.equal(start.relevance(LOGITS), wanted)


def test_a_batch_may_mix_starts() -> None:
    start = OutputRelevance(
        torch.tensor([0, -1, 1, 2]),
        torch.tensor([-1, 2, -1, 0]),
        torch.tensor([True, False, True, False]),
    )
    wanted = rows([[0.5, 0, 0], [1, 0, -1], [0, -3, 0], [-1, 0, 1]])
    assert torch.equal(start.relevance(LOGITS), wanted)


@pytest.mark.parametrize("logit", [False, True])
def test_a_class_against_itself_starts_from_nothing(logit: bool) -> None:
    start = make([-1, 2, 0, 1], [1, 2, 0, 1], logit=logit)
    assert not start.one_hot_signs(LOGITS).any()
    assert not start.relevance(LOGITS).any()
    assert not start.target_logit(LOGITS).any()


def test_signs_do_not_depend_on_what_the_relevance_starts_from() -> None:
    plain, logit = (make([-1, 2, 0, 1], [0, -1, 2, 0], logit=one) for one in (False, True))
    wanted = rows([[-1, 1, 0], [0, 0, 1], [1, 0, -1], [-1, 1, 0]])
    assert torch.equal(plain.one_hot_signs(LOGITS), wanted)
    assert torch.equal(logit.one_hot_signs(LOGITS), wanted)


def test_the_score_is_the_targets_logit_less_that_of_the_contrast() -> None:
    found = make([-1, 2, 0, -1], [0, 1, -1, 1]).target_logit(LOGITS)
    assert found.tolist() == [2.0 - 0.5, 1.0 + 2.0, -4.0, 7.0 - 1.0]


def test_fixing_puts_the_predicted_classes_in_and_keeps_the_rest() -> None:
    start = make([-1, 2, -1, 0], [0, 1, -1, 1], logit=True)
    fixed = start.resolve_targets(LOGITS)
    assert fixed.targets.tolist() == [PREDICTED[0], 2, PREDICTED[2], 0]
    assert fixed.contrasts is start.contrasts
    assert fixed.is_logit is start.is_logit
    assert start.targets.tolist() == [-1, 2, -1, 0]


def test_a_fixed_start_stays_at_its_target_when_other_logits_win() -> None:
    fixed = OutputRelevance.predicted(N).resolve_targets(LOGITS)
    assert fixed.resolve_targets(-LOGITS).targets.tolist() == PREDICTED
    assert fixed.relevance(-LOGITS).argmax(1).tolist() == PREDICTED


def test_each_round_of_targets_is_fixed_by_itself() -> None:
    given_starts = [make([-1, 2, -1, 0]), make([0, -1, 1, -1])]
    found = [start.resolve_targets(LOGITS) for start in given_starts]
    assert [start.targets.tolist() for start in found] == [[1, 2, 1, 0], [0, 0, 1, 2]]


def test_repeating_repeats_the_whole_batch() -> None:
    start = make([0, -1], [2, -1], logit=True).repeat(3)
    assert start.targets.tolist() == [0, -1] * 3
    assert start.contrasts.tolist() == [2, -1] * 3
    assert start.is_logit.tolist() == [True] * 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_relevance_has_the_logits_type_and_leaves_them_alone(dtype: torch.dtype) -> None:
    logits = LOGITS.to(dtype)
    for logit in (False, True):
        found = make([-1, 2, 0, 1], [0, -1, 1, 2], logit=logit).relevance(logits)
        assert (found.dtype, found.shape) == (dtype, logits.shape)
    assert torch.equal(logits, LOGITS.to(dtype))


@pytest.mark.parametrize("n", [1, 5])
def test_the_predicted_start_is_for_a_whole_batch_on_its_device(n: int) -> None:
    start = OutputRelevance.predicted(n, torch.device("meta"))
    for tensor in (start.targets, start.contrasts, start.is_logit):
        assert (tuple(tensor.shape), tensor.device.type) == ((n,), "meta")
    assert start.targets.dtype == start.contrasts.dtype == torch.int64
    assert start.is_logit.dtype == torch.bool


INDICES = st.integers(-1, N_CLASSES - 1)
CHOICES = st.lists(st.tuples(INDICES, INDICES, st.booleans()), min_size=N, max_size=N)


def by_loop(choices: list[tuple[int, int, bool]]) -> Tensor:
    """The relevance of each image, spelled out."""
    relevance = torch.zeros_like(LOGITS)
    for row, (target, contrast, is_logit) in enumerate(choices):
        chosen = PREDICTED[row] if target < 0 else target
        relevance[row, chosen] += LOGITS[row, chosen] if is_logit else 1.0
        if contrast >= 0:
            relevance[row, contrast] -= LOGITS[row, contrast] if is_logit else 1.0
    return relevance


@given(choices=CHOICES)
def test_any_start_equals_a_loop_over_the_images(choices: list[tuple[int, int, bool]]) -> None:
    targets, contrasts, is_logit = (torch.tensor(column) for column in zip(*choices, strict=True))
    start = OutputRelevance(targets, contrasts, is_logit)
    assert torch.equal(start.relevance(LOGITS), by_loop(choices))
    plain = by_loop([(target, contrast, False) for target, contrast, _ in choices])
    assert torch.equal(start.target_logit(LOGITS), (plain * LOGITS).sum(1))
