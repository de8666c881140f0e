"""The tree of errors: its drawing is current, and each has a status and a unique type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from service import errors
from service.errors import OptionError, OptionProblem, ServiceError, join_names


def subclasses(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from subclasses(child)


KINDS = list(subclasses(ServiceError))
DEPTH = {"": 0, "x": 1, "-": 2, "+": 3}


def drawn() -> list[tuple[int, str, int | None]]:
    """The tree in the module's docstring: depth, name, and status where one stands."""
    rows = re.findall(
        r"^ *([x+-]?) *([A-Z]\w+)(?: +(\d{3}))?(?:  .*)?$",
        inspect.getdoc(errors) or "",
        re.MULTILINE,
    )
    return [(DEPTH[mark], name, int(status) if status else None) for mark, name, status in rows]


def test_the_drawing_of_the_tree_is_current() -> None:
    def depth(kind: type[ServiceError]) -> int:
        return kind.__mro__.index(ServiceError)

    assert [(d, name) for d, name, _ in drawn()] == [(depth(k), k.__name__) for k in KINDS]


def test_the_statuses_in_the_drawing_are_current() -> None:
    shown = {name: status for _, name, status in drawn() if status}
    assert len(shown) > 10
    assert {name: getattr(errors, name).status for name in shown} == shown


def test_every_type_is_stable_and_unique() -> None:
    types = [kind.type for kind in KINDS if kind is not ServiceError]  # never raised itself
    assert len(set(types)) == len(types)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", name) for name in types)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_title_and_a_status_of_its_class(kind: type[ServiceError]) -> None:
    assert kind.title[0].isupper()
    side = 4 if issubclass(kind, errors.RequestError | errors.QueueFull | errors.RateLimited) else 5
    assert kind.status // 100 == side


def test_an_error_has_its_detail_and_headers() -> None:
    error = errors.QueueFull("try again in 3 s", headers={"Retry-After": "3"})
    assert error.detail == str(error) == "try again in 3 s"
    assert error.headers == {"Retry-After": "3"}


def test_an_option_error_names_every_invalid_option() -> None:
    problems = [OptionProblem("size", "is too large"), OptionProblem("cmap", "is not known")]
    error = OptionError(problems)
    assert error.problems == tuple(problems)
    assert error.detail == "size: is too large; cmap: is not known"
    assert OptionError.of("size", "is too large").problems == (problems[0],)


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "none"), (1, "a0"), (3, "a0, a1, a2"), (4, "a0, a1, a2, ..."), (900, "a0, a1, a2, ...")],
)
def test_a_list_of_names_is_cut(n: int, text: str) -> None:
    assert join_names((f"a{i}" for i in range(n)), limit=3) == text
