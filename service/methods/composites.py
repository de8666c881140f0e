"""Registry of composites: named maps from layers to rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.methods.parameters import (
    EPSILON,
    GAMMA,
    SMOOTHNESS,
    STABILIZER,
    ZERO_BIAS,
    Parameter,
)
from service.methods.rules import Assignment


@dataclass(frozen=True)
class Composite:
    """A named map from layers to rules.

    Attributes
    ----------
    name, text, source : str
        Its name in requests, a one-sentence description, and the publication.
    parameters : tuple of Parameter
        Parameters of a request; each applies to the rules that have a parameter of this name.
    rules : tuple of Assignment
        A layer gets the rule of the first assignment that matches it.
    conserves : bool
        Whether the sum of the input's relevance is meant to equal the output relevance.
    """

    name: str
    text: str
    source: str
    parameters: tuple[Parameter, ...]
    rules: tuple[Assignment, ...]
    conserves: bool


DEFAULT_COMPOSITE = "epsilon_plus_flat"
PLAIN = "none"

_BASE = (
    Assignment("type:activation", "pass"),
    Assignment("type:sum", "norm"),
    Assignment("type:avg_pool", "norm"),
    Assignment("type:batch_norm", "pass"),
)
_DENSE = Assignment("type:dense", "epsilon")
_FLAT = Assignment("first:linear", "flat")
_PLUS = Assignment("type:convolution", "zplus")
_ALPHA2_BETA1 = Assignment("type:convolution", "alpha_beta", (("alpha", 2.0), ("beta", 1.0)))
_LRP_PARAMETERS = (EPSILON, STABILIZER, ZERO_BIAS)
_KOHLBRENNER = "Kohlbrenner et al. 2020, arXiv:1910.09840"
_FLAT_SOURCE = f"Lapuschkin et al. 2019, Nature Communications 10:1096; {_KOHLBRENNER}"

COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        composite.name: composite
        for composite in (
            Composite(
                DEFAULT_COMPOSITE,
                "Positive contributions in convolutions, spread evenly over the pixels that the "
                "first layer sees: smooth maps of where the evidence lies.",
                _FLAT_SOURCE,
                _LRP_PARAMETERS,
                (_FLAT, *_BASE, _PLUS, _DENSE),
                conserves=True,
            ),
            Composite(
                "epsilon_plus",
                "As epsilon_plus_flat, but the first layer too follows its weights: "
                "sharper maps that follow edges and colours.",
                _KOHLBRENNER,
                _LRP_PARAMETERS,
                (*_BASE, _PLUS, _DENSE),
                conserves=True,
            ),
            Composite(
                "epsilon_alpha2_beta1",
                "Evidence for the class counts twice, evidence against it is shown too: contrasted "
                "maps in red and blue.",
                f"Bach et al. 2015, PLOS ONE 10(7):e0130140; {_KOHLBRENNER}",
                _LRP_PARAMETERS,
                (*_BASE, _ALPHA2_BETA1, _DENSE),
                conserves=True,
            ),
            Composite(
                "epsilon_alpha2_beta1_flat",
                "As epsilon_alpha2_beta1, but spread evenly over the pixels that the first layer "
                "sees.",
                _FLAT_SOURCE,
                _LRP_PARAMETERS,
                (_FLAT, *_BASE, _ALPHA2_BETA1, _DENSE),
                conserves=True,
            ),
            Composite(
                "epsilon_gamma_box",
                "Evidence for and against, with the former favoured by gamma, and the first layer "
                "aware of the range of pixel values: detailed maps.",
                "Montavon et al. 2019, LNCS 11700:193",
                (EPSILON, GAMMA, STABILIZER, ZERO_BIAS),
                (
                    Assignment("first:convolution", "zbox"),
                    *_BASE,
                    Assignment("type:convolution", "gamma"),
                    _DENSE,
                ),
                conserves=True,
            ),
            Composite(
                "deconvnet",
                "The gradient, of which each ReLU passes the positive part on: patterns that "
                "could excite the class, hardly tied to this image.",
                "Zeiler and Fergus 2014, arXiv:1311.2901",
                (),
                (Assignment("type:relu", "relu_deconvnet"),),
                conserves=False,
            ),
            Composite(
                "guided_backprop",
                "The gradient, of which each active ReLU passes the positive part on: crisp edges, "
                "much alike for all classes.",
                "Springenberg et al. 2015, arXiv:1412.6806",
                (),
                (Assignment("type:relu", "relu_guided_backprop"),),
                conserves=False,
            ),
            Composite(
                "excitation_backprop",
                "The probability that a random walk down the excitatory connections ends at a "
                "pixel: only evidence for the class.",
                "Zhang et al. 2016, arXiv:1608.00507",
                (STABILIZER, ZERO_BIAS),
                (
                    Assignment("type:sum", "norm"),
                    Assignment("type:avg_pool", "norm"),
                    Assignment("type:linear", "zplus"),
                ),
                conserves=True,
            ),
            Composite(
                "beta_smooth",
                "The gradient of the network with its ReLUs smoothed: less noisy than the plain "
                "gradient.",
                "Dombrowski et al. 2019, arXiv:1906.07983",
                (SMOOTHNESS,),
                (Assignment("type:relu", "relu_beta_smooth"),),
                conserves=False,
            ),
            Composite(
                PLAIN,
                "The plain gradient: how the output changes with each pixel, not how much each "
                "pixel contributes.",
                "Simonyan et al. 2014, arXiv:1312.6034",
                (),
                (),
                conserves=False,
            ),
        )
    }
)
