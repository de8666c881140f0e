"""The module map: every module of the repository with the first line of its docstring."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path

from tools.reference.markdown import code, table

# the folders of the map, in the order in which a reader meets them
PARTS = (
    "service",
    "service/commands",
    "service/server",
    "service/api",
    "service/api/routes",
    "service/api/request",
    "service/api/response",
    "service/api/middleware",
    "service/runtime",
    "service/lrp",
    "service/methods",
    "service/models",
    "service/imaging",
    "service/web/js",
    "client",
    "training",
    "benchmarks",
    "tools",
)
# the first words of a JavaScript file's leading comment, after directives such as `@ts-check`
_COMMENT = re.compile(
    r"(?:\s*(?://|/\*\*?|\*)?\s*(?:@[\w-]+)?\s*\n)*\s*(?://|/\*\*?|\*)\s*(?P<text>[^@\s].*)"
)


def module_map(root: Path) -> str:
    """One table for each folder that has modules, under a heading with its path."""
    modules = sorted(_modules(root), key=lambda path: (_rank(path, root), path.parent, path.name))
    sections = []
    for folder, files in groupby(modules, key=lambda path: path.parent.relative_to(root)):
        rows = [(code(path.name), describe(path)) for path in files if path.name != "__init__.py"]
        phrase = describe(root / folder / "__init__.py")
        heading = f"#### `{folder}/`\n\n{phrase}".strip()
        sections.append(f"{heading}\n\n{table(('module', 'what it is'), rows)}" if rows else "")
    return "\n\n".join(section for section in sections if section)


def describe(path: Path) -> str:
    """The first line of a module's docstring, or of the comment at its head."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(text)) or ""
        return docstring.split("\n\n", 1)[0]
    comment = _COMMENT.match(text)
    return comment["text"].removesuffix("*/").strip() if comment else ""


def _modules(root: Path) -> list[Path]:
    tops = sorted({part.split("/", 1)[0] for part in PARTS})
    found = [path for top in tops for path in (root / top).rglob("*.py")]
    return [*found, *(root / "service" / "web" / "js").rglob("*.js")]


def _rank(path: Path, root: Path) -> int:
    """The position of the longest part that the module is in."""
    folder = path.parent.relative_to(root).as_posix()
    parents = [part for part in PARTS if f"{folder}/".startswith(f"{part}/")]
    return PARTS.index(max(parents, key=len))
