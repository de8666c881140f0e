"""Makes a graph independent of its tensors' memory format, which on a CPU is the service's choice.

Code that works on contiguous images need not work on images whose channels are last in memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from service.lrp.cpu.memory_format import arrange_gradient

_RESHAPES = {"view": "reshape", "view_as": "reshape_as"}
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_INSTANCE_NORM_FUNCTIONS = (functional.instance_norm, torch.instance_norm)


class ContiguousGradient(nn.Identity):
    """The identity, whose gradient is contiguous."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Return the input."""
        return arrange_gradient(input, torch.contiguous_format)


def make_layout_independent(network: fx.GraphModule) -> None:
    """Replace what depends on the memory format of a tensor.

    A `view` of a convolution's output is possible for contiguous tensors only: it becomes a
    `reshape`, which is a view where that is possible. Instance norms get contiguous gradients,
    without which torch computes wrong ones of a single image.
    """
    for node in list(network.graph.nodes):
        if _is_view_of_shape(node):
            node.target = _RESHAPES[node.target]
            if "size" in node.kwargs:  # the name of `shape` in `view`
                node.args, node.kwargs = (*node.args, node.kwargs["size"]), {}
        elif _is_instance_norm(network, node):
            _insert_contiguous_gradient(network, node)


def _is_view_of_shape(node: fx.Node) -> bool:
    """Whether a node is a view in another shape, not in another dtype."""
    others = (*node.args[1:], *node.kwargs.values())
    is_view = node.op == "call_method" and node.target in _RESHAPES
    return is_view and not any(isinstance(other, torch.dtype) for other in others)


def _is_instance_norm(network: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), _INSTANCE_NORMS)
    return node.op == "call_function" and node.target in _INSTANCE_NORM_FUNCTIONS


def _insert_contiguous_gradient(network: fx.GraphModule, node: fx.Node) -> None:
    users = [user for user in node.users if user.op == "call_module"]
    if any(isinstance(network.get_submodule(str(u.target)), ContiguousGradient) for u in users):
        return  # the graph was made of one that has them
    name = f"contiguous_gradient_of_{node.name}"
    network.add_submodule(name, ContiguousGradient())
    with network.graph.inserting_after(node):
        inserted = network.graph.call_module(name, (node,))
    node.replace_all_uses_with(inserted, lambda user: user is not inserted)
