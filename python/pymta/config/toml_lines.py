"""
Where in a TOML file each value is: a map from its path to its line.

Not a parser: `tomllib` has read the same text before and found it valid, so this only follows keys, tables, arrays and
strings and counts lines. A path is a tuple of keys and indexes: ("listeners", 0, "address").
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Path", "line_of", "lines"]

Path = tuple[str | int, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(
    r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?"
)  # a date and a time may have a space between
_SPACE: Final = re.compile(r"[ \t]*")
_FILLER: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each key, table and array element of *text*, which must be valid TOML."""
    return _Scanner(text).scan()


def line_of(where: dict[Path, int], path: Path) -> int | None:
    """The line of *path*, or of the nearest thing around it that is in the file."""
    for length in range(len(path), 0, -1):
        line = where.get(path[:length])
        if line is not None:
            return line
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._where: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # elements of each [[array of tables]] so far

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self._skip(_FILLER)
            if self._at >= len(self._text):
                return self._where
            if self._text[self._at] == "[":
                table = self._table()
            else:
                self._pair(table)

    # ---- structure ---------------------------------------------------------------------------------------------------

    def _table(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path that the following keys belong to."""
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path: Path = ()
        keys = self._keys()
        for position, key in enumerate(keys):
            path = (*path, key)
            self._where.setdefault(path, line)
            if is_array and position == len(keys) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                self._where.setdefault(path, line)
        self._at += 2 if is_array else 1
        return path

    def _pair(self, table: Path) -> None:
        """`key = value`, with the dotted key's parts marked too."""
        path = table
        for key in self._keys():
            path = (*path, key)
            self._where.setdefault(path, self._line)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        self._where.setdefault(path, self._line)
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_FILLER)
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_FILLER)
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    # ---- words -------------------------------------------------------------------------------------------------------

    def _keys(self) -> list[str]:
        """A dotted key, up to what follows it."""
        keys = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                keys.append(self._string())
            else:
                found = _BARE_KEY.match(self._text, self._at)
                assert found is not None, "tomllib accepted a key that is none"
                keys.append(found.group())
                self._at = found.end()
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _string(self) -> str:
        quote = self._text[self._at]
        mark = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        start = self._at + len(mark)
        end = start
        while not self._text.startswith(mark, end):
            end += 2 if quote == '"' and self._text[end] == "\\" else 1
        if len(mark) == 3:  # up to two quotes may stand just before the closing three
            while self._text.startswith(quote, end + 3):
                end += 1
        self._move(end + len(mark))
        content = self._text[start:end]
        return _ESCAPE.sub(_unescape, content) if quote == '"' else content

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._move(found.end())

    def _move(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at


def _unescape(match: re.Match[str]) -> str:
    escape = match.group(1)
    if escape[0] in "uU":
        return chr(int(escape[1:], 16))
    return _ESCAPES.get(escape, escape)
