"""Sanity checks: maps of a network whose weights, or labels, are random should be other maps.

Adebayo et al. 2018, arXiv:1810.03292. Weights are randomized layer by layer from the top (section
3.1). For random labels (section 3.2), `similarity.compare` takes the maps of both networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from service.evidence.similarity import Similarity, compare

RandomizeFn = Callable[[nn.Module, int], None]  # a layer of its own parameters, a seed


@dataclass(frozen=True)
class LayerCheck:
    """Maps after a layer was randomized, compared with those of the trained network.

    Attributes
    ----------
    layer : str
        Name of the layer that was randomized last, or alone.
    similarity : Similarity
        Of the maps.
    """

    layer: str
    similarity: Similarity


def reset_layer(layer: nn.Module, seed: int) -> None:
    """Initialize a layer's parameters anew, as PyTorch does; shuffle them where it does not."""
    fresh = deepcopy(layer).cpu()
    reset = getattr(fresh, "reset_parameters", None)
    if not callable(reset):
        shuffle_layer(layer, seed)
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        reset()
    layer.load_state_dict(fresh.state_dict())


def shuffle_layer(layer: nn.Module, seed: int) -> None:
    """Permute the values of each of a layer's parameters: their distribution stays."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def layer_names(network: nn.Module) -> list[str]:
    """Names of the modules with parameters of their own; the one that is defined last is first."""
    names = [
        name
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    return names[::-1]


def randomized_networks(
    network: nn.Module,
    seed: int = 0,
    *,
    randomize: RandomizeFn = reset_layer,
    is_cascading: bool = True,
) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a network with random layers, and the name of the layer that is new.

    Parameters
    ----------
    network : nn.Module
        Stays as it is. Its layers are those of `layer_names`.
    seed : int
        Each layer has another seed, which depends on its place from the top.
    randomize : callable
        Randomizes a layer.
    is_cascading : bool
        Whether the layers above stay random too; otherwise one layer is random at a time.
    """
    copy = deepcopy(network)
    for place, name in enumerate(layer_names(network)):
        if not is_cascading:
            copy = deepcopy(network)
        randomize(copy.get_submodule(name), seed + place)
        yield name, deepcopy(copy)


def randomization_check(
    network: nn.Module,
    explain: Callable[[nn.Module], Tensor],
    seed: int = 0,
    *,
    randomize: RandomizeFn = reset_layer,
    is_cascading: bool = True,
) -> list[LayerCheck]:
    """Compare maps of the trained network with those of its randomized copies.

    Parameters
    ----------
    explain : callable
        Gives the maps, shape (N, H, W), of the same images and targets for a network.
    network, seed, randomize, is_cascading
        As in `randomized_networks`.

    Returns
    -------
    list of LayerCheck
        From the top.
    """
    trained = explain(network)
    networks = randomized_networks(network, seed, randomize=randomize, is_cascading=is_cascading)
    return [LayerCheck(name, compare(explain(one), trained)) for name, one in networks]
