"""The rules of LRP, each as its equation: numpy in float64, nothing else.

Written down from the papers' equations, on purpose without a look at any implementation. Most have
one pattern: a matrix of contributions `c[k, j]` of inputs j to outputs k, and for each output the
share that an input has in their sum, in which the bias has a share too and keeps it:

    R_j = sum_k  c[k, j] / (sum_j' c[k, j'] + b_k)  R_k

What the rules differ in is the contributions. Below `c = matrix * a` are those of the layer itself,
and `+` and `-` mark the positive and the negative part, the latter with its sign.

- epsilon: Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 58
- gamma: Andéol et al. 2021, arXiv:2106.12465. There, `a+ (w + gamma w+) + a- (w + gamma w-)` where
  the output is positive, and with the parts of `w` swapped where it is negative. `a+ w+ + a- w-` is
  the positive part of `a w`, so that this is `c + gamma c+`, and `c + gamma c-` for a negative one.
  Where no input is negative and the output is positive it is Montavon et al. 2019, LNCS 11700:193.
  Whether an output is positive is asked of the layer itself: its bias counts, even with
  `zero_bias`. One that is 0 hands on nothing.
- alpha-beta: Bach, equation 60; it is the sign of the *contribution* that counts, not of the
  weight; z+ is alpha 1, beta 0. Montavon et al. 2017, arXiv:1512.02479, where z+ is from, has
  inputs and outputs that are not negative, and no bias.
- z-box: Montavon 2017, equation 15: `c - low w+ - high w-`. The bias cancels: `b - b+ - b-` is 0.
- w-square: Montavon 2017, equation 12: the squared weights. There is no bias in that paper's
  denominator. Here its square is, unless with `zero_bias`: a choice, that of our reference library,
  by which a bias takes its share as in all other rules.
- flat: Lapuschkin et al. 2019, Nature Communications 10:1096, equation 8: 1 for each connection
- norm: Bach, equation 56: epsilon, but for the name of what keeps the denominator from 0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bias = Floats | float


@dataclass(frozen=True)
class Rule:
    """A rule by its name on the wire; of the values, those count that it has."""

    name: str
    epsilon: float = 0.0
    stabilizer: float = 0.0
    zero_bias: bool = False
    gamma: float = 0.0
    alpha: float = 1.0
    beta: float = 0.0
    low: Bias = 0.0  # of each input, for z-box
    high: Bias = 1.0


@dataclass(frozen=True)
class Affine:
    """`z = matrix @ a + bias`; `mask` is 1 where an input is connected to an output."""

    matrix: Floats
    bias: Floats
    mask: Floats
    rule: Rule


@dataclass(frozen=True)
class Shares:
    """Shares `c[k, j] / (sum_j' c[k, j'] + b_k)` of inputs j in outputs k, and their weight."""

    contributions: Floats
    bias: Bias
    stabilizer: float
    weight: Floats | float = 1.0  # of each output, or of all

    def relevance(self, arrived: Floats) -> Floats:
        """The relevance of the inputs, given that of the outputs."""
        shared: Floats = self.contributions.T @ (self.weight * arrived / self._denominator())
        return shared

    def condition(self, arrived: Floats) -> float:
        """The largest condition number of a denominator of an output with relevance.

        A sum of terms `t` is computed with a relative error of up to `sum |t| / |sum t|` roundings
        (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2).
        """
        terms = np.abs(self.contributions).sum(axis=1) + np.abs(self.bias) + self.stabilizer
        conditions = terms / np.abs(self._denominator())
        return float(np.max(conditions, where=self.weight * arrived != 0, initial=1.0))

    def _denominator(self) -> Floats:
        z: Floats = self.contributions.sum(axis=1) + self.bias
        return z + self.stabilizer * np.where(z >= 0, 1.0, -1.0)


def affine(layer: Affine, a: Floats, relevance: Floats) -> tuple[Floats, float]:
    """The relevance of a layer's inputs, given that of its outputs; and its condition number."""
    if layer.rule.name == "pass":
        assert np.count_nonzero(layer.matrix) == np.count_nonzero(np.diagonal(layer.matrix))
        return relevance, 1.0  # of a batch norm: each output has one input
    if layer.rule.name == "gradient":
        return layer.matrix.T @ relevance, 1.0
    shares = _AFFINE[layer.rule.name](layer, a)
    total = sum((one.relevance(relevance) for one in shares), np.zeros_like(a))
    return total, max(one.condition(relevance) for one in shares)


def relu(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    """The relevance of a ReLU's inputs `a`, given that of its outputs."""
    return _RELU[rule.name](rule, a, relevance)


def total(rule: Rule, branches: Floats, relevance: Floats) -> tuple[Floats, float]:
    """The relevance of each branch, given that of their sum; and its condition number.

    Branches and their relevance have shape (branches, outputs).
    """
    if rule.name == "gradient":
        return np.broadcast_to(relevance, branches.shape), 1.0
    assert rule.name == "norm"
    found, conditions = [], []
    for output, arrived in zip(branches.T, relevance, strict=True):
        shares = Shares(output[None], 0.0, rule.stabilizer)
        found.append(shares.relevance(arrived[None]))
        conditions.append(shares.condition(arrived[None]))
    return np.array(found).T, max(conditions)


def _positive(values: Bias) -> Floats:
    return np.maximum(values, 0.0)


def _negative(values: Bias) -> Floats:
    return np.minimum(values, 0.0)


def _bias(layer: Affine) -> Bias:
    return 0.0 if layer.rule.zero_bias else layer.bias


def _epsilon(layer: Affine, a: Floats) -> list[Shares]:
    return [Shares(layer.matrix * a, _bias(layer), layer.rule.epsilon)]


def _gamma(layer: Affine, a: Floats) -> list[Shares]:
    rule, c, b = layer.rule, layer.matrix * a, _bias(layer)
    z = c.sum(axis=1) + layer.bias
    favoured = np.where(z[:, None] > 0, _positive(c), _negative(c))
    favoured_bias = np.where(z > 0, _positive(b), _negative(b))
    return [
        Shares(
            c + rule.gamma * favoured,
            b + rule.gamma * favoured_bias,
            rule.stabilizer,
            np.where(z != 0, 1.0, 0.0),
        )
    ]


def _zplus(layer: Affine, a: Floats) -> list[Shares]:
    c, b = layer.matrix * a, _bias(layer)
    return [Shares(_positive(c), _positive(b), layer.rule.stabilizer)]


def _alpha_beta(layer: Affine, a: Floats) -> list[Shares]:
    rule, c, b = layer.rule, layer.matrix * a, _bias(layer)
    return [
        Shares(_positive(c), _positive(b), rule.stabilizer, rule.alpha),
        Shares(_negative(c), _negative(b), rule.stabilizer, -rule.beta),
    ]


def _zbox(layer: Affine, a: Floats) -> list[Shares]:
    rule, w = layer.rule, layer.matrix
    c = w * a - _positive(w) * rule.low - _negative(w) * rule.high
    return [Shares(c, 0.0, rule.stabilizer)]


def _wsquare(layer: Affine, a: Floats) -> list[Shares]:
    return [Shares(np.square(layer.matrix), np.square(_bias(layer)), layer.rule.stabilizer)]


def _flat(layer: Affine, a: Floats) -> list[Shares]:
    return [Shares(layer.mask, 0.0, layer.rule.stabilizer)]


def _norm(layer: Affine, a: Floats) -> list[Shares]:
    return [Shares(layer.matrix * a, layer.bias, layer.rule.stabilizer)]


_AFFINE: dict[str, Callable[[Affine, Floats], list[Shares]]] = {
    "epsilon": _epsilon,
    "gamma": _gamma,
    "zplus": _zplus,
    "alpha_beta": _alpha_beta,
    "zbox": _zbox,
    "wsquare": _wsquare,
    "flat": _flat,
    "norm": _norm,
}


def _relu_pass(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    return relevance


def _relu_deconvnet(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    """Zeiler and Fergus 2014, arXiv:1311.2901: a ReLU on the way back too, in place of the mask."""
    return _positive(relevance)


def _relu_guided_backprop(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    """Springenberg et al. 2015, arXiv:1412.6806: that ReLU and the mask."""
    return _positive(relevance) * (a > 0)


def _relu_beta_smooth(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    """Dombrowski et al. 2019, arXiv:1906.07983: d/da of log(1 + exp(beta a)) / beta.

    That paper has the softplus on the way forward too; a rule changes only the way back.
    """
    return relevance / (1.0 + np.exp(-rule.beta * a))


def _relu_gradient(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    return relevance * (a > 0)


_RELU: dict[str, Callable[[Rule, Floats, Floats], Floats]] = {
    "pass": _relu_pass,
    "relu_deconvnet": _relu_deconvnet,
    "relu_guided_backprop": _relu_guided_backprop,
    "relu_beta_smooth": _relu_beta_smooth,
    "gradient": _relu_gradient,
}
