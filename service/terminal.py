"""What commands print: names of files, labels and data literally, and whole.

Names are no markup, and their control characters do not drive the terminal. In a pipe or a file
nothing is cut or wrapped, whatever the width of the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from service.text import escape


def cut_middle(text: str, max_characters: int = 2000) -> str:
    """Leave out the middle of a text: names in files may be as long as the files."""
    if len(text) <= max_characters:
        return text
    half = max_characters // 2
    return f"{text[:half]} ... {text[-half:]}"


def open_standard_streams() -> None:
    """Open those of the three standard streams that are closed, on the null device.

    Otherwise the first files and sockets that are opened would take their numbers, and get what is
    printed.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def print_line(text: str, *, is_error: bool = False) -> None:
    """Print a message, on standard error if it `is_error`; only its line breaks are kept."""
    stream = sys.stderr if is_error else sys.stdout
    lines = "\n".join(escape(line) for line in text.split("\n"))
    encoding = stream.encoding or "utf-8"
    typer.echo(lines.encode(encoding, "backslashreplace").decode(encoding), err=is_error)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output."""
    # most commands print none
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        unlimited = console.options.update(max_width=sys.maxsize)
        console.width = max(1, console.measure(table, options=unlimited).maximum)
    console.print(table)
