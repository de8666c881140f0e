"""Selection of test cases that covers all pairs of values (pairwise testing), or all triples.

Most faults show with one value of a parameter, or with two values of two parameters together
(Kuhn, Wallace and Gallo 2004, IEEE TSE 30:418), so that few cases of a full product are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

CaseT = TypeVar("CaseT", bound=Sequence[Hashable])


def covering(cases: Iterable[CaseT], strength: int = 2) -> list[CaseT]:
    """Select cases such that each tuple of `strength` values that a case has is in a selected one.

    Deterministic and greedy: the case with the most new tuples is taken next, the first of several.

    Parameters
    ----------
    cases : iterable of sequences
        Such as a product, without combinations that are not allowed. The values at one position
        are those of one parameter.
    strength : int
        2 for pairs.

    Returns
    -------
    list of sequences
        In the order of `cases`.
    """
    numbered = dict(enumerate(dict.fromkeys(cases)))
    new = {
        number: set(combinations(enumerate(case), strength)) for number, case in numbered.items()
    }
    chosen = []
    while new:
        best = max(new, key=lambda number: (len(new[number]), -number))
        chosen.append(best)
        covered = new.pop(best)
        new = {number: rest for number, tuples in new.items() if (rest := tuples - covered)}
    return [numbered[number] for number in sorted(chosen)]
