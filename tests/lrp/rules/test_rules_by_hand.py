"""The matrix form's rules give what one computes by hand, fraction by fraction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from service.methods import RULES
from tests.lrp import matrix_lrp
from tests.lrp.matrix_lrp import Layer, ReLU, Sliding, Sum
from tests.lrp.matrix_rules import Floats, Rule


@dataclass(frozen=True)
class Dense:
    """A linear layer, what it sees, and how much relevance each of its outputs has."""

    weight: list[list[float]]
    bias: list[float]
    inputs: list[float]
    outputs: list[float]
    relevance: list[float]


# contributions 2 -3 4, bias 1
POSITIVE = Dense([[2, -1, 4]], [1], [1, 3, 1], [4], [1])
# contributions 2 3 -4, bias -2: without it, the output would be positive
NEGATIVE = Dense([[2, -1, 4]], [-2], [1, -3, -1], [-1], [1])
# contributions 2 3 -4, bias -1
ZERO = Dense([[2, -1, 4]], [-1], [1, -3, -1], [0], [1])
# contributions 2 -3 4, bias 1, and 2 -3 -3, bias -2
BOTH = Dense([[2, -1, 4], [2, -1, -3]], [1, -2], [1, 3, 1], [4, -6], [1, -2])

LOW, HIGH = np.array([-1.0, -4.0, -2.0]), np.array([2.0, 4.0, 3.0])
ONE_HALF = 0.5

DENSE: list[tuple[Dense, Rule, list[float]]] = [
    (POSITIVE, Rule("epsilon"), [2 / 4, -3 / 4, 4 / 4]),
    (POSITIVE, Rule("epsilon", zero_bias=True), [2 / 3, -3 / 3, 4 / 3]),
    (POSITIVE, Rule("epsilon", epsilon=ONE_HALF), [2 / 4.5, -3 / 4.5, 4 / 4.5]),
    (NEGATIVE, Rule("epsilon"), [2 / -1, 3 / -1, -4 / -1]),
    (NEGATIVE, Rule("epsilon", zero_bias=True), [2 / 1, 3 / 1, -4 / 1]),
    (NEGATIVE, Rule("epsilon", epsilon=ONE_HALF), [2 / -1.5, 3 / -1.5, -4 / -1.5]),
    (ZERO, Rule("epsilon", epsilon=ONE_HALF), [2 / 0.5, 3 / 0.5, -4 / 0.5]),
    (BOTH, Rule("epsilon"), [2 / 4 - 2 * 2 / -6, -3 / 4 - 2 * -3 / -6, 4 / 4 - 2 * -3 / -6]),
    # gamma 1 doubles what is positive: 4 -3 8, bias 2
    (POSITIVE, Rule("gamma", gamma=1), [4 / 11, -3 / 11, 8 / 11]),
    (POSITIVE, Rule("gamma", gamma=1, zero_bias=True), [4 / 9, -3 / 9, 8 / 9]),
    (POSITIVE, Rule("gamma", gamma=1, stabilizer=ONE_HALF), [4 / 11.5, -3 / 11.5, 8 / 11.5]),
    (POSITIVE, Rule("gamma", gamma=0), [2 / 4, -3 / 4, 4 / 4]),
    (POSITIVE, Rule("gamma", gamma=0.5), [3 / 7.5, -3 / 7.5, 6 / 7.5]),
    # ... and of a negative output what is negative: 2 3 -8, bias -4
    (NEGATIVE, Rule("gamma", gamma=1), [2 / -7, 3 / -7, -8 / -7]),
    (NEGATIVE, Rule("gamma", gamma=1, zero_bias=True), [2 / -3, 3 / -3, -8 / -3]),
    (NEGATIVE, Rule("gamma", gamma=1, stabilizer=ONE_HALF), [2 / -7.5, 3 / -7.5, -8 / -7.5]),
    (ZERO, Rule("gamma", gamma=1), [0, 0, 0]),
    (ZERO, Rule("gamma", gamma=1, zero_bias=True), [0, 0, 0]),
    # 4 -3 8, bias 2, and 2 -6 -6, bias -4
    (
        BOTH,
        Rule("gamma", gamma=1),
        [4 / 11 - 2 * 2 / -14, -3 / 11 - 2 * -6 / -14, 8 / 11 - 2 * -6 / -14],
    ),
    (POSITIVE, Rule("zplus"), [2 / 7, 0, 4 / 7]),
    (POSITIVE, Rule("zplus", zero_bias=True), [2 / 6, 0, 4 / 6]),
    (POSITIVE, Rule("zplus", stabilizer=ONE_HALF), [2 / 7.5, 0, 4 / 7.5]),
    (NEGATIVE, Rule("zplus"), [2 / 5, 3 / 5, 0]),  # a negative weight times a negative input
    (NEGATIVE, Rule("zplus", zero_bias=True), [2 / 5, 3 / 5, 0]),
    (BOTH, Rule("zplus"), [2 / 7 - 2 * 2 / 2, 0, 4 / 7]),
    (POSITIVE, Rule("alpha_beta", alpha=1, beta=0), [2 / 7, 0, 4 / 7]),
    (POSITIVE, Rule("alpha_beta", alpha=2, beta=1), [2 * 2 / 7, -(-3 / -3), 2 * 4 / 7]),
    (POSITIVE, Rule("alpha_beta", alpha=3, beta=2), [3 * 2 / 7, -2 * (-3 / -3), 3 * 4 / 7]),
    (
        POSITIVE,
        Rule("alpha_beta", alpha=2, beta=1, zero_bias=True),
        [2 * 2 / 6, -(-3 / -3), 2 * 4 / 6],
    ),
    (
        POSITIVE,
        Rule("alpha_beta", alpha=2, beta=1, stabilizer=ONE_HALF),
        [2 * 2 / 7.5, -(-3 / -3.5), 2 * 4 / 7.5],
    ),
    (NEGATIVE, Rule("alpha_beta", alpha=2, beta=1), [2 * 2 / 5, 2 * 3 / 5, -(-4 / -6)]),
    (
        NEGATIVE,
        Rule("alpha_beta", alpha=2, beta=1, zero_bias=True),
        [2 * 2 / 5, 2 * 3 / 5, -(-4 / -4)],
    ),
    (
        BOTH,
        Rule("alpha_beta", alpha=2, beta=1),
        [2 * 2 / 7 - 2 * 2 * 2 / 2, -(-3 / -3) + 2 * (-3 / -8), 2 * 4 / 7 + 2 * (-3 / -8)],
    ),
    # 2 - 2 * -1, -3 - -1 * 4, 4 - 4 * -2: what is above the worst that a pixel could say
    (POSITIVE, Rule("zbox", low=LOW, high=HIGH), [4 / 17, 1 / 17, 12 / 17]),
    (POSITIVE, Rule("zbox", low=LOW, high=HIGH, zero_bias=True), [4 / 17, 1 / 17, 12 / 17]),
    (
        POSITIVE,
        Rule("zbox", low=LOW, high=HIGH, stabilizer=ONE_HALF),
        [4 / 17.5, 1 / 17.5, 12 / 17.5],
    ),
    # 2 - 2 * -1, 3 - -1 * 4, -4 - 4 * -2
    (NEGATIVE, Rule("zbox", low=LOW, high=HIGH), [4 / 15, 7 / 15, 4 / 15]),
    # ... and 2 - 2 * -1, -3 - -1 * 4, -3 - -3 * 3
    (
        BOTH,
        Rule("zbox", low=LOW, high=HIGH),
        [4 / 17 - 2 * 4 / 11, 1 / 17 - 2 * 1 / 11, 12 / 17 - 2 * 6 / 11],
    ),
    (POSITIVE, Rule("wsquare"), [4 / 22, 1 / 22, 16 / 22]),
    (POSITIVE, Rule("wsquare", zero_bias=True), [4 / 21, 1 / 21, 16 / 21]),
    (POSITIVE, Rule("wsquare", stabilizer=ONE_HALF), [4 / 22.5, 1 / 22.5, 16 / 22.5]),
    (NEGATIVE, Rule("wsquare"), [4 / 25, 1 / 25, 16 / 25]),
    (BOTH, Rule("wsquare"), [4 / 22 - 2 * 4 / 18, 1 / 22 - 2 * 1 / 18, 16 / 22 - 2 * 9 / 18]),
    (POSITIVE, Rule("flat"), [1 / 3, 1 / 3, 1 / 3]),
    (NEGATIVE, Rule("flat", stabilizer=ONE_HALF), [1 / 3.5, 1 / 3.5, 1 / 3.5]),
    (BOTH, Rule("flat"), [1 / 3 - 2 / 3, 1 / 3 - 2 / 3, 1 / 3 - 2 / 3]),
    (POSITIVE, Rule("norm"), [2 / 4, -3 / 4, 4 / 4]),  # a bias always counts
    (NEGATIVE, Rule("norm", stabilizer=ONE_HALF), [2 / -1.5, 3 / -1.5, -4 / -1.5]),
    (ZERO, Rule("norm", stabilizer=ONE_HALF), [2 / 0.5, 3 / 0.5, -4 / 0.5]),
    (POSITIVE, Rule("gradient"), [2, -1, 4]),
    (BOTH, Rule("gradient"), [2 - 2 * 2, -1 - 2 * -1, 4 - 2 * -3]),
]

RELU_INPUTS = [2.0, 2.0, -1.0, -1.0, 0.0]
RELU_RELEVANCE = [3.0, -3.0, 5.0, -5.0, 4.0]
RELU: list[tuple[Rule, list[float]]] = [
    (Rule("pass"), [3, -3, 5, -5, 4]),
    (Rule("gradient"), [3, -3, 0, 0, 0]),
    (Rule("relu_deconvnet"), [3, 0, 5, 0, 4]),
    (Rule("relu_guided_backprop"), [3, 0, 0, 0, 0]),
    # sigmoid(2 ln 3) is 9 / (9 + 1), sigmoid(-ln 3) is 1 / (1 + 3), sigmoid(0) is 1 / 2
    (
        Rule("relu_beta_smooth", beta=math.log(3)),
        [3 * 9 / 10, -3 * 9 / 10, 5 * 1 / 4, -5 * 1 / 4, 4 / 2],
    ),
]


def numbered(rules: Iterable[Rule]) -> list[str]:
    return [f"{rule.name}-{number}" for number, rule in enumerate(rules)]


def run(layers: Sequence[Layer], inputs: list[float], relevance: list[float]) -> tuple[Floats, ...]:
    start = np.array(relevance, dtype=np.float64)
    return matrix_lrp.propagate(layers, np.array(inputs, dtype=np.float64), lambda _: start)[:2]


@pytest.mark.parametrize(("case", "rule", "wanted"), DENSE, ids=numbered(r for _, r, _ in DENSE))
def test_a_linear_layer(case: Dense, rule: Rule, wanted: list[float]) -> None:
    layer = matrix_lrp.dense(np.array(case.weight), np.array(case.bias), rule)
    outputs, relevance = run([layer], case.inputs, case.relevance)
    assert outputs.tolist() == case.outputs
    np.testing.assert_allclose(relevance, wanted, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("rule", "wanted"), RELU, ids=numbered(rule for rule, _ in RELU))
def test_a_relu(rule: Rule, wanted: list[float]) -> None:
    outputs, relevance = run([ReLU(rule)], RELU_INPUTS, RELU_RELEVANCE)
    assert outputs.tolist() == [2, 2, 0, 0, 0]
    np.testing.assert_allclose(relevance, wanted, rtol=1e-14)


def test_every_rule_is_computed_by_hand() -> None:
    by_hand = {rule.name for _, rule, _ in DENSE} | {rule.name for rule, _ in RELU}
    assert by_hand == RULES.keys()


# windows 1 3 0 4 and 5 0 -2 7, with means 2 and 2.5; each input counts a quarter
@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Rule("norm"), [1 / 8, 3 / 8, 0 / 8, 4 / 8, 5 / 10, 0 / 10, -2 / 10, 7 / 10]),
        (
            Rule("norm", stabilizer=ONE_HALF),
            [1 / 10, 3 / 10, 0 / 10, 4 / 10, 5 / 12, 0 / 12, -2 / 12, 7 / 12],
        ),
        (Rule("gradient"), [1 / 4] * 8),
    ],
    ids=str,
)
def test_an_average_pool(rule: Rule, wanted: list[float]) -> None:
    pool = matrix_lrp.average_pool(1, (1, 4), Sliding((1, 8), stride=(1, 4)), rule)
    outputs, relevance = run([pool], [1, 3, 0, 4, 5, 0, -2, 7], [1, 1])
    assert outputs.tolist() == [2, 2.5]
    np.testing.assert_allclose(relevance, wanted, rtol=1e-14)


# 1 2 along the skip, 6 1 through the layer that swaps; together 7 3
@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Rule("norm"), [1 + 1, 2 + 6]),
        (Rule("norm", stabilizer=1), [7 * 1 / 8 + 3 * 1 / 4, 3 * 2 / 4 + 7 * 6 / 8]),
        (Rule("gradient"), [7 + 3, 3 + 7]),
    ],
    ids=str,
)
def test_a_sum_of_a_skip_and_a_branch(rule: Rule, wanted: list[float]) -> None:
    swap = matrix_lrp.dense(np.array([[0.0, 3], [1, 0]]), None, Rule("epsilon"))
    outputs, relevance = run([Sum(((), (swap,)), rule)], [1, 2], [7, 3])
    assert outputs.tolist() == [7, 3]
    np.testing.assert_allclose(relevance, wanted, rtol=1e-14)


def test_a_batch_norm_passes() -> None:
    layer = matrix_lrp.batch_norm(np.array([2.0, -1]), np.array([1.0, 5]), (1, 2), Rule("pass"))
    outputs, relevance = run([layer], [1, 2, 3, 4], [5, 6, 7, 8])
    assert outputs.tolist() == [3, 5, 2, 1]
    assert relevance.tolist() == [5, 6, 7, 8]


def test_the_winner_of_a_pool_takes_all() -> None:
    pool = matrix_lrp.max_pool(1, (2, 2), Sliding((2, 4), stride=(2, 2)))
    # windows 1 5 4 0 and 2 3 9 8
    outputs, relevance = run([pool], [1, 5, 2, 3, 4, 0, 9, 8], [0.25, 0.75])
    assert outputs.tolist() == [5, 9]
    assert relevance.tolist() == [0, 0.25, 0, 0, 0, 0, 0.75, 0]


def test_one_pixel_can_win_in_several_windows_and_a_padding_in_none() -> None:
    pool = matrix_lrp.max_pool(1, (1, 2), Sliding((1, 4), padding=(0, 1)))
    # windows -3, -3 -1, -1 -2, -2 -4, -4
    outputs, relevance = run([pool], [-3, -1, -2, -4], [1, 2, 4, 8, 16])
    assert outputs.tolist() == [-3, -1, -1, -2, -4]
    assert relevance.tolist() == [1, 2 + 4, 8, 16]


def test_flat_counts_the_inputs_that_there_are() -> None:
    weight, bias = np.array([[[[2.0, 0, -1]]]]), np.array([1.0])
    sliding = Sliding((1, 3), padding=(0, 1))
    layer = matrix_lrp.convolution(weight, bias, sliding, Rule("flat"))
    # at the borders two, in the middle three; a weight of 0 connects too
    outputs, relevance = run([layer], [1, 2, 3], [1, 1, 1])
    assert outputs.tolist() == [1 - 2, 1 + 2 - 3, 1 + 4]
    np.testing.assert_allclose(relevance, [1 / 2 + 1 / 3, 1 / 2 + 1 / 3 + 1 / 2, 1 / 3 + 1 / 2])


SLIDINGS = [
    ((3, 3), Sliding((6, 6), padding=(1, 1))),
    ((3, 2), Sliding((6, 5), stride=(2, 1), padding=(1, 0))),
    ((2, 3), Sliding((5, 7), dilation=(3, 2), groups=2)),
    ((1, 3), Sliding((4, 6), (1, 3), (0, 1), (1, 2), groups=4)),
]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("kernel", "sliding"), SLIDINGS, ids=str)
def test_an_unrolled_convolution_is_the_convolution(
    kernel: tuple[int, int], sliding: Sliding, has_bias: bool
) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(8, 4 // sliding.groups, *kernel))
    bias = rng.normal(size=8) if has_bias else None
    image = rng.normal(size=(4, *sliding.size))
    layer = matrix_lrp.convolution(weight, bias, sliding, Rule("epsilon"))
    wanted = nn.functional.conv2d(
        torch.tensor(image)[None],
        torch.tensor(weight),
        None if bias is None else torch.tensor(bias),
        sliding.stride,
        sliding.padding,
        sliding.dilation,
        sliding.groups,
    )
    found = layer.matrix @ image.ravel() + layer.bias
    np.testing.assert_allclose(found, wanted.numpy().ravel(), atol=1e-12)
    assert ((layer.matrix != 0) == (layer.mask == 1)).all()


@pytest.mark.parametrize(
    ("kernel", "sliding"),
    [
        ((2, 2), Sliding((6, 4), stride=(2, 2))),
        ((3, 3), Sliding((6, 7), stride=(2, 2), padding=(1, 1))),
        ((3, 2), Sliding((5, 5))),
    ],
    ids=str,
)
def test_pools_are_those_of_torch(kernel: tuple[int, int], sliding: Sliding) -> None:
    image = np.random.default_rng(2).normal(size=(3, *sliding.size))
    batch, shape = torch.tensor(image)[None], (kernel, sliding.stride, sliding.padding)
    layers: list[tuple[Layer, torch.Tensor]] = [
        (matrix_lrp.max_pool(3, kernel, sliding), nn.functional.max_pool2d(batch, *shape)),
        (
            matrix_lrp.average_pool(3, kernel, sliding, Rule("norm")),
            nn.functional.avg_pool2d(batch, *shape),
        ),
    ]
    for layer, wanted in layers:
        found, *_ = matrix_lrp.propagate([layer], image.ravel(), np.zeros_like)
        np.testing.assert_allclose(found, wanted.numpy().ravel(), atol=1e-12)
