"""Generated regions of Markdown pages: where they are, and what belongs into each.

A region stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference import api, commands, methods, modules, operations

GENERATORS: Mapping[str, Callable[[Path], str]] = {
    "modules": modules.module_map,
    "paths": lambda _: api.paths(),
    "predict-options": lambda _: api.predict_options(),
    "explain-options": lambda _: api.explain_options(),
    "responses": lambda _: api.responses(),
    "colormaps": lambda _: api.colormaps(),
    "card": lambda _: api.card(),
    "composites": lambda _: methods.composites(),
    "attributors": lambda _: methods.attributors(),
    "parameters": lambda _: methods.parameters(),
    "rules": lambda _: methods.rules(),
    "types": lambda _: methods.types(),
    "settings": lambda _: operations.settings(),
    "metrics": lambda _: operations.metrics(),
    "errors": lambda _: operations.errors(),
    "commands": lambda _: commands.commands(),
}
_REGION = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)


def update(root: Path, *, write: bool) -> list[str]:
    """Compare every page under `docs/` with what is generated for it.

    Returns
    -------
    list of str
        The pages that were stale, relative to `root`. With `write` they are up to date now.
    """
    stale = []
    for page in sorted((root / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        current = fill(text, root)
        if current == text:
            continue
        stale.append(str(page.relative_to(root)))
        if write:
            page.write_text(current, encoding="utf-8")
    return stale


def fill(text: str, root: Path) -> str:
    """The text of a page with every generated region up to date.

    Raises
    ------
    KeyError
        A region has a name that nothing is generated for.
    """

    def generate(region: re.Match[str]) -> str:
        content = GENERATORS[region["name"]](root)
        return f"{region['start']}\n{content.strip()}\n\n{region['end']}"

    return _REGION.sub(generate, text)
