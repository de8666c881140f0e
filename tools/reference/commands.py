"""The command line, with the options and an example of each command."""

from __future__ import annotations

import re
from typing import Any

import typer

from service.commands.__main__ import app
from tools.reference.markdown import code, table


def commands() -> str:
    """A section for each command of `lrpserve`."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(_section(command) for command in group.commands.values())


def _section(command: Any) -> str:
    text, _, example = (command.help or "").partition("Example:")
    lines = [f"### lrpserve {command.name}", " ".join(text.split())]
    if example:
        lines.append(f"```sh\n{' '.join(example.split())}\n```")
    parameters = [p for p in command.params if p.name != "help"]
    if parameters:
        lines.append(table(("argument", "default", "meaning"), [_row(p) for p in parameters]))
    return "\n\n".join(lines)


def _row(parameter: Any) -> tuple[str, str, str]:
    name = parameter.opts[0]
    if not name.startswith("-"):
        name = parameter.metavar or name.upper()
    default = "required" if parameter.required else _default(parameter)
    return code(name), default, re.sub(r"\n\s*", " ", getattr(parameter, "help", None) or "")


def _default(parameter: Any) -> str:
    value = parameter.default
    return "" if value in (None, False, "", ()) or callable(value) else code(value)
