"""Strict JSON: names of objects do not repeat, NaN and infinities are not numbers.

Bytes are UTF-8, and numbers have at most `MAX_DIGITS` characters. Everything that users write in
JSON is read here: bodies of requests, rules, cards, labels.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from service.text import shorten

MAX_DIGITS = 4300  # of a number, as in Python's own limit: more would take long to convert


class RepeatedNames(ValueError):
    """An object has a name more than once.

    Attributes
    ----------
    names : tuple of str
        The names that repeat.
    entry : str or None
        The name in the outermost object under which that object is; None if it is the outermost
        one, or if that is no object.
    """

    def __init__(self, names: tuple[str, ...], entry: str | None) -> None:
        super().__init__(f"an object has the name '{shorten(names[0])}' more than once")
        self.names, self.entry = names, entry


def loads(text: str | bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    RepeatedNames
        An object has a name more than once.
    UnicodeDecodeError
        The bytes are not UTF-8.
    ValueError
        It is not JSON, nested too deeply, or has a number that is too long.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    repeated: list[tuple[dict[str, Any], tuple[str, ...]]] = []

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated.append((made, tuple(name for name, n in counts.items() if n > 1)))
        return made

    try:
        value = json.loads(
            text,
            object_pairs_hook=make_object,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if repeated:
        made, names = repeated[-1]  # an object comes after those in it
        entries = value.items() if isinstance(value, dict) and value is not made else ()
        raise RepeatedNames(names, next((name for name, e in entries if _has(e, made)), None))
    return value


def _has(value: Any, wanted: object) -> bool:
    stack = [value]  # no recursion: values are nested as deep as the parser can
    while stack:
        item = stack.pop()
        if item is wanted:
            return True
        stack += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return False


def _parse_int(digits: str) -> int:
    return int(_check_digits(digits))


def _parse_float(digits: str) -> float:
    return float(_check_digits(digits))


def _check_digits(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits):,} characters, more than {MAX_DIGITS}")
    return digits


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
