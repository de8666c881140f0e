"""Claim 3 on layers whose maps are made here: edges, the object, both, or noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.claims.depth import References, depth_values, pool
from training.claims.rules import DEPTH
from training.claims.values import summarize
from training.claims.verdicts import judge

N = 24


def noise(seed: int, side: int = 32) -> Tensor:
    return torch.rand(N, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def references() -> References:
    """Blurred noise as edges, and discs as objects."""
    edges = functional.avg_pool2d(noise(0)[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    centres = torch.randint(10, 22, (N, 2), generator=torch.Generator().manual_seed(1)).tolist()
    masks = torch.stack([(rows - y) ** 2 + (columns - x) ** 2 < 64 for y, x in centres])
    return References(edges, masks)


def maps_of_edges(references: References) -> Tensor:
    return references.edges + 0.05 * noise(2)


def maps_of_objects(references: References) -> Tensor:
    return pool(references.masks.float(), (8, 8)) + 0.3 * noise(3, 8)


def states(
    early: Tensor, late: Tensor, references: References, *, same: bool = False
) -> dict[str, str]:
    trained = {"input": early, "first": early, "last": late}
    blank = {"input": noise(4), "first": noise(5), "last": noise(6, 8)}
    found = summarize(depth_values(trained, trained if same else blank, references))
    return {one.condition.measure: one.state for one in judge(DEPTH, [found]).outcomes}


def test_edges_first_and_the_object_last_hold_but_for_parts(references: References) -> None:
    after = states(maps_of_edges(references), maps_of_objects(references), references)
    assert after.pop("parts") == "open"
    assert after == dict.fromkeys(after, "holds")


def test_the_object_first_and_edges_last_refute(references: References) -> None:
    early = functional.interpolate(maps_of_objects(references)[:, None], (32, 32))[:, 0]
    after = states(early, pool(maps_of_edges(references), (8, 8)), references)
    assert after["edges lost with depth"] == after["object gained with depth"] == "fails"
    assert after["edges at the first layer"] == after["object at the last layer"] == "fails"


def test_noise_refutes(references: References) -> None:
    after = states(noise(7), noise(8, 8), references)
    assert after["edges at the first layer"] == after["object at the last layer"] == "fails"


def test_a_network_like_the_untrained_one_is_not_confirmed(references: References) -> None:
    early, late = maps_of_edges(references), maps_of_objects(references)
    after = states(early, late, references, same=True)
    assert after["edges lost with depth"] == "holds"
    assert after["edges lost with depth - untrained"] == "open"
    assert after["object gained with depth - untrained"] == "open"


def test_edges_that_are_only_too_fine_for_the_last_layer_are_not_lost(
    references: References,
) -> None:
    early = maps_of_edges(references)
    after = states(early, pool(early, (8, 8)), references)
    assert after["edges lost with depth"] == "holds"
    assert after["edges lost with depth, one size"] == "open"
