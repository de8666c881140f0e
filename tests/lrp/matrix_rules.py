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


def affine(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    """The relevance of a layer's inputs, given that of its outputs."""
    return _AFFINE[layer.rule.name](layer, a, relevance)


def relu(rule: Rule, a: Floats, relevance: Floats) -> Floats:
    """The relevance of a ReLU's inputs `a`, given that of its outputs."""
    return _RELU[rule.name](rule, a, relevance)


def total(rule: Rule, branches: Floats, relevance: Floats) -> Floats:
    """The relevance of each branch, given that of their sum: both of shape (branches, outputs)."""
    if rule.name == "gradient":
        return np.broadcast_to(relevance, branches.shape)
    assert rule.name == "norm"
    return branches / _stabilized(branches.sum(axis=0), rule.stabilizer) * relevance


def _shares(contributions: Floats, bias: Bias, relevance: Floats, stabilizer: float) -> Floats:
    z = contributions.sum(axis=1) + bias
    return contributions.T @ (relevance / _stabilized(z, stabilizer))


def _stabilized(z: Floats, stabilizer: float) -> Floats:
    return z + stabilizer * np.where(z >= 0, 1.0, -1.0)


def _positive(values: Bias) -> Floats:
    return np.maximum(values, 0.0)


def _negative(values: Bias) -> Floats:
    return np.minimum(values, 0.0)


def _bias(layer: Affine) -> Bias:
    return 0.0 if layer.rule.zero_bias else layer.bias


def _epsilon(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    return _shares(layer.matrix * a, _bias(layer), relevance, layer.rule.epsilon)


def _gamma(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    rule, c, b = layer.rule, layer.matrix * a, _bias(layer)
    z = c.sum(axis=1) + layer.bias
    favoured = np.where(z[:, None] > 0, _positive(c), _negative(c))
    favoured_bias = np.where(z > 0, _positive(b), _negative(b))
    return _shares(
        c + rule.gamma * favoured,
        b + rule.gamma * favoured_bias,
        relevance * (z != 0),
        rule.stabilizer,
    )


def _zplus(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    c, b = layer.matrix * a, _bias(layer)
    return _shares(_positive(c), _positive(b), relevance, layer.rule.stabilizer)


def _alpha_beta(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    rule, c, b = layer.rule, layer.matrix * a, _bias(layer)
    evidence_for = _shares(_positive(c), _positive(b), relevance, rule.stabilizer)
    evidence_against = _shares(_negative(c), _negative(b), relevance, rule.stabilizer)
    return rule.alpha * evidence_for - rule.beta * evidence_against


def _zbox(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    rule, w = layer.rule, layer.matrix
    c = w * a - _positive(w) * rule.low - _negative(w) * rule.high
    return _shares(c, 0.0, relevance, rule.stabilizer)


def _wsquare(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    b = np.square(_bias(layer))
    return _shares(np.square(layer.matrix), b, relevance, layer.rule.stabilizer)


def _flat(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    return _shares(layer.mask, 0.0, relevance, layer.rule.stabilizer)


def _norm(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    return _shares(layer.matrix * a, layer.bias, relevance, layer.rule.stabilizer)


def _affine_pass(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    assert np.count_nonzero(layer.matrix) == np.count_nonzero(np.diagonal(layer.matrix))
    return relevance  # of a batch norm: each output has one input


def _affine_gradient(layer: Affine, a: Floats, relevance: Floats) -> Floats:
    return layer.matrix.T @ relevance


_AFFINE: dict[str, Callable[[Affine, Floats, Floats], Floats]] = {
    "epsilon": _epsilon,
    "gamma": _gamma,
    "zplus": _zplus,
    "alpha_beta": _alpha_beta,
    "zbox": _zbox,
    "wsquare": _wsquare,
    "flat": _flat,
    "norm": _norm,
    "pass": _affine_pass,
    "gradient": _affine_gradient,
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
