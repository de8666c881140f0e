"""Generated regions of Markdown pages, and of the chart's schema: where and what they are.

A region of a page stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference import (
    api,
    chart,
    clever_hans,
    commands,
    evidence,
    faithfulness,
    methods,
    modules,
    operations,
)

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
    "ground-truth-networks": evidence.networks,
    "ground-truth": evidence.deciding_object,
    "ground-truth-questions": evidence.other_questions,
    "ground-truth-planted": evidence.planted,
    "clever-hans": clever_hans.planted_artefacts,
    "clever-hans-marks": clever_hans.marks,
    "faithfulness": faithfulness.methods,
    "faithfulness-settings": faithfulness.settings,
    "faithfulness-more": faithfulness.more_measures,
    "faithfulness-short": faithfulness.shortest,
}
_REGION = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)


def update(root: Path, *, write: bool) -> list[str]:
    """Compare the README, pages under `docs/` and the chart's schema with what is generated.

    Returns
    -------
    list of str
        The files that were stale, relative to `root`. With `write` they are up to date now.
    """
    stale = []
    pages = [*root.glob("README.md"), *sorted((root / "docs").rglob("*.md"))]
    for file in [*pages, *root.glob(str(chart.SCHEMA))]:
        text = file.read_text(encoding="utf-8")
        current = chart.values_schema(text) if file.suffix == ".json" else fill(text, root)
        if current == text:
            continue
        stale.append(str(file.relative_to(root)))
        if write:
            file.write_text(current, encoding="utf-8")
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
