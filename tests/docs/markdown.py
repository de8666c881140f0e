"""The documentation's pages, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
_GENERATED = re.compile(r"<!-- generated: (\S+) -->.*?<!-- end of \1 -->", re.DOTALL)
_BLOCK = re.compile(
    r"(?P<note><!-- not run: [^>]+ -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language, text : str
        As the fence names it, and what stands in it.
    is_run : bool
        False after a comment `<!-- not run: REASON -->`.
    shown : Block or None
        The block that follows within 40 characters, which may be the output.
    """

    language: str
    text: str
    is_run: bool
    shown: Block | None = None


def pages() -> list[Path]:
    """Every page that a reader of the repository may open."""
    top = sorted([*ROOT.glob("*.md"), *ROOT.glob("client/*.md")])
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code of a page, but for those that are generated."""
    text = _GENERATED.sub("", page.read_text(encoding="utf-8"))
    found = list(_BLOCK.finditer(text))
    for block, following in zip_longest(found, found[1:]):
        is_near = following is not None and following.start() - block.end() < 3
        yield _make(block, _make(following) if following and is_near else None)


def _make(match: re.Match[str], shown: Block | None = None) -> Block:
    return Block(match["language"], match["text"], match["note"] is None, shown)
