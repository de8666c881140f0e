"""Which methods differ: known answers, and the level that all comparisons together have."""

from __future__ import annotations

import pytest
import torch

from service.evaluation.comparison import compare, student_quantile


def drawn(n_methods: int, n: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, generator=generator)  # images are easy or hard for all methods
    return {f"m{i}": shared + 0.2 * torch.randn(n, generator=generator) for i in range(n_methods)}


def test_a_planted_difference_is_found_and_ranked_first() -> None:
    values = drawn(6, 100, 0)
    values["m3"] = values["m3"] + 0.25  # far less than what images differ by
    found = compare(values)
    assert found.names[0] == "m3"
    assert all(found.is_better("m3", other) for other in found.names[1:])
    assert found.ties_with("m3") == []
    assert not found.is_better(found.names[1], "m3")


def test_identical_methods_do_not_differ() -> None:
    value = torch.rand(50)
    found = compare({"a": value, "b": value.clone(), "c": value - 0.5})
    assert found.ties_with("a") == ["b"]
    assert found.is_better("a", "c")
    assert found.is_better("b", "c")


def test_methods_without_a_difference_rarely_differ_however_many_they_are() -> None:
    # by 2 standard errors for each pair, 66 pairs of 12 would nearly always have one
    n_wrong = sum(
        bool(compare(drawn(12, 60, seed), n_resamples=500).differs.any()) for seed in range(60)
    )
    assert n_wrong <= 9  # 3 are expected; 10 or more have a probability of 0.1%


def test_the_level_holds_for_few_images_too() -> None:
    # with the quantiles of a normal distribution, a difference would be found in 4 of 10 cases
    n_wrong = sum(
        bool(compare(drawn(12, 12, seed), n_resamples=500).differs.any()) for seed in range(60)
    )
    assert n_wrong <= 10  # as above


@pytest.mark.parametrize(
    ("normal", "dof", "student"),
    [(1.95996, 9, 2.26216), (1.95996, 30, 2.04227), (3.29053, 9, 4.78091)],
)
def test_quantiles_of_student_agree_with_the_tables(
    normal: float, dof: int, student: float
) -> None:
    assert student_quantile(normal, dof) == pytest.approx(student, rel=1e-3)


def test_the_result_depends_on_the_seed_only() -> None:
    values = drawn(4, 30, 5)
    assert torch.equal(compare(values, 1).differs, compare(values, 1).differs)
    assert compare(values).n == 30
