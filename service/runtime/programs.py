"""Functions of tensors as programs: they run without Python, and so without its lock.

A network's many small steps each take Python's lock, and wait for it where an event loop is busy in
the same process: a third of the device's time, under load. A program is the same steps, recorded
for inputs of the same shapes and run by TorchScript's interpreter: no lock, and no autograd either.
A step that depends on values, not on shapes, cannot be recorded: such functions run as they are.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

logger = logging.getLogger(__name__)

Columns = tuple[Tensor, ...]
Function = Callable[..., Columns]
Shapes = tuple[torch.Size, ...]

_TOLERANCE = 1e-5  # of the largest value: the steps are the same ones, so that it is zero as a rule
# to make one takes as long as a hundred uses of it save, and it takes some 3 MB of memory
USES_IN_IDLE, USES_UNDER_LOAD = 4, 16
MAX_PROGRAMS, _MAX_WANTED = 12, 64
_recording = threading.Lock()  # it changes torch's modules meanwhile, and puts them right again


class Programs:
    """Runs functions, those that are run often as programs. Used by one thread only.

    Parameters
    ----------
    is_on : bool
        Whether any are made.
    """

    def __init__(self, *, is_on: bool = True) -> None:
        self._max_programs = MAX_PROGRAMS if is_on else 0
        # a program holds the weights of what it was made of, so it must not live longer than that
        self._programs: WeakKeyDictionary[Any, dict[Shapes, Function]] = WeakKeyDictionary()
        self._wanted: OrderedDict[tuple[int, Shapes], _Wanted] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(programs) for programs in self._programs.values())

    def run(self, owner: object, function: Function, *inputs: Tensor) -> Columns:
        """Run a function, by its program where there is one.

        Parameters
        ----------
        owner : object
            With the shapes of the inputs, it tells functions apart.
        function : callable
            Takes the inputs, returns tensors; holds nothing of the owner.
        inputs : Tensor
            Nothing else that the function depends on may change.
        """
        shapes = tuple(one.shape for one in inputs)
        if program := self._programs.get(owner, {}).get(shapes):
            return program(*inputs)
        if self._max_programs:
            self._want(owner, function, inputs, shapes)
        return function(*inputs)

    def want_all(self) -> None:
        """Ask for programs of all that has been run, however seldom."""
        for wanted in self._wanted.values():
            wanted.n_uses = USES_UNDER_LOAD

    def make_next(self, least_uses: int) -> bool:
        """Make a program that is wanted; returns whether one was.

        It takes a quarter of a second for a small network on a CPU, and as long as some uses of it
        for a large one.

        Parameters
        ----------
        least_uses : int
            How often it would have been used so far, at least.
        """
        found = [key for key, wanted in self._wanted.items() if wanted.n_uses >= least_uses]
        if not found or len(self) >= self._max_programs:
            return False
        wanted = self._wanted.pop(found[0])
        if (owner := wanted.owner()) is not None:
            program = make_program(wanted.function, wanted.inputs)
            self._programs.setdefault(owner, {})[found[0][1]] = program
        return True

    def _want(
        self, owner: object, function: Function, inputs: Sequence[Tensor], shapes: Shapes
    ) -> None:
        key = (id(owner), shapes)
        if key not in self._wanted or self._wanted[key].owner() is not owner:
            self._wanted[key] = _Wanted(weakref.ref(owner), function, inputs)
        self._wanted[key].n_uses += 1
        self._wanted.move_to_end(key)
        if len(self._wanted) > _MAX_WANTED:
            self._wanted.popitem(last=False)


@dataclass
class _Wanted:
    """A function that is asked for, and has no program yet."""

    owner: weakref.ref[Any]
    function: Function
    inputs: Sequence[Tensor]
    n_uses: int = 0


def make_program(function: Function, inputs: Sequence[Tensor]) -> Function:
    """Record what a function does, for inputs of these shapes.

    Parameters
    ----------
    function : callable
        Takes the inputs, returns tensors; what it does must depend on nothing but their shapes.
    inputs : sequence of Tensor
        To be recorded with.

    Returns
    -------
    callable
        The program; or the function itself, if none does the same.
    """
    try:
        with _recording:
            program = _record(function, inputs)
        if not _differs(program(*inputs), function(*inputs)):
            return program
        logger.warning("a program does not compute what it was made of, and is not used")
    except Exception as error:  # noqa: BLE001  whatever stands in the way: without one it works too
        logger.debug("no program can be made: %s", error)
    return function


def _record(function: Function, inputs: Sequence[Tensor]) -> Function:
    """Record the steps for Python, then those for TorchScript.

    `torch.jit.trace` does the same, but keeps all that it has recorded for ever. Where a later
    torch, or Python, has none of this any more, there are no programs.
    """
    steps = make_fx(function)(*inputs)
    names = [f"x{index}" for index in range(len(inputs))]
    with torch.no_grad():
        graph, *_ = torch._C._create_graph_by_tracing(  # noqa: SLF001  as above
            steps.forward, tuple(inputs), lambda value: "", True, False, None, names
        )
    script = torch._C._create_function_from_graph("program", graph)  # noqa: SLF001  as above

    def program(*inputs: Tensor) -> Columns:
        # optimizing takes long at the first runs, and would put rows together that round otherwise
        with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return tuple(script(*inputs))

    return program


def _differs(found: Columns, expected: Columns) -> bool:
    return any(
        one.shape != other.shape
        or one.dtype != other.dtype
        or not torch.allclose(
            one.double(), other.double(), rtol=0, atol=_TOLERANCE * float(other.abs().max())
        )
        for one, other in zip(found, expected, strict=True)
        if other.numel()
    )
