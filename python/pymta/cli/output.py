"""
How answers are printed: tables for people, JSON for programs. rich is imported when there is a table to draw.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["age", "counted", "octets", "one_line", "plain", "print_json", "print_table"]


def print_json(value: Any, *, indent: int = 2) -> None:
    """*value*, which msgspec can encode, as one JSON document; on one line with *indent* 0."""
    import msgspec

    encoded = msgspec.json.encode(value)
    click.echo((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """
    A table with a heading. On a terminal it fits the width; in a pipe nothing is cut, so that grep and awk see all.
    """
    if sys.stdout is None:  # closed by whoever called
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        # As Text, because a reply with brackets would be read as markup.
        table.add_row(*(Text(plain(cell)) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100_000
    Console(width=width, highlight=False, soft_wrap=False).print(table)


def plain(text: str) -> str:
    """What a peer may have chosen, made harmless for a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def one_line(error: BaseException) -> str:
    """What went wrong, with the file where it was one, and without the number of the system's error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def counted(count: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def age(ms: int) -> str:
    """A duration for people: `4 s`, `12 min`, `3.5 h`, `2.1 d`."""
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"


def octets(count: int) -> str:
    """A size for people: `512`, `4.0 Ki`, `1.5 Mi`."""
    amount = float(count)
    for unit in ("", " Ki", " Mi", " Gi"):
        if amount < 1024:
            return f"{amount:.0f}{unit}" if not unit else f"{amount:.1f}{unit}"
        amount /= 1024
    return f"{amount:.1f} Ti"
