"""
From files to `Settings`: read, merge, type, check. What comes out is complete, frozen and usable, or ConfigError says
what is wrong, in which file and line, and what was expected.

    pymta.toml          the main file; relative paths in it are relative to its folder
    conf.d/*.toml       beside it, in order of name; a later value replaces an earlier one, lists are replaced whole,
                        tables are merged

The environment has one say: PYMTA_CONFIG is the path of the main file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from pymta.config import toml_lines
from pymta.config.checks import problems
from pymta.config.settings import Settings
from pymta.config.values import (
    DomainPattern,
    Endpoint,
    HostName,
    MailAddress,
    Network,
    NextHop,
    Resolver,
    SourceAddress,
)
from pymta.mail.errors import ConfigError

__all__ = [
    "ENVIRONMENT",
    "Loaded",
    "Origin",
    "Sources",
    "file_of_environment",
    "load",
    "load_sources",
    "load_text",
    "path_text",
]

ENVIRONMENT: Final = "PYMTA_CONFIG"
FILE_OCTETS_MAX: Final = 8 * 1024 * 1024
EXTRA_FILES_MAX: Final = 1000

_Kind = type[DomainPattern | Endpoint | HostName | MailAddress | Network | NextHop | Resolver | SourceAddress]
_VALUES: Final[tuple[_Kind, ...]] = (
    DomainPattern,
    Endpoint,
    HostName,
    MailAddress,
    Network,
    NextHop,
    Resolver,
    SourceAddress,
)


Sources = tuple[tuple[Path | None, str], ...]
"""Texts, each with the file that it is from; None is the embedded default."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written; a None file is the embedded default."""

    file: Path | None
    line: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    Settings, and where each of them comes from.

    Attributes:
        settings: What the server is told.
        files: All that was read, in order; empty for the embedded default.
        origins: By path, for what was written at all.
        sources: The text of each file, for `load_sources` in another process.
        base: The folder that relative paths are relative to.
    """

    settings: Settings
    files: tuple[Path, ...]
    origins: dict[toml_lines.Path, Origin] = field(repr=False)
    sources: Sources = field(repr=False)
    base: Path

    def with_data_folder(self, folder: Path) -> Loaded:
        """The same with another data folder, given on the command line."""
        server = msgspec.structs.replace(self.settings.server, data_folder=folder.absolute())
        settings = msgspec.structs.replace(self.settings, server=server)
        return replace(self, settings=settings)

    def origin_of(self, path: toml_lines.Path) -> Origin | None:
        """Where the value at *path* was written, or what is around it; None for a default."""
        for length in range(len(path), 0, -1):
            origin = self.origins.get(path[:length])
            if origin is not None:
                return origin
        return None


def load(file: Path) -> Loaded:
    """
    Read *file* and the `conf.d/*.toml` beside it.

    Raises:
        ConfigError: With the first thing that is wrong.
    """
    file = file.absolute()
    files = [file]
    folder = file.parent / "conf.d"
    if folder.is_dir():
        files += sorted(folder.glob("*.toml"))[:EXTRA_FILES_MAX]
    return load_sources(tuple((path, _read(path)) for path in files), base=file.parent)


def load_text(text: str, *, base: Path) -> Loaded:
    """
    The same from text: the embedded default, and tests. Relative paths are relative to *base*.

    Raises:
        ConfigError: As `load`.
    """
    return load_sources(((None, text),), base=base.absolute())


def load_sources(sources: Sources, *, base: Path) -> Loaded:
    """
    The same from what was read already, the main file first: all workers use one reading, whatever becomes of the files.

    Raises:
        ConfigError: As `load`.
    """
    merged: dict[str, Any] = {}
    origins: dict[toml_lines.Path, Origin] = {}
    for file, text in sources:
        tree = _parse(text, file)
        where = toml_lines.lines(text)
        _merge(merged, tree, origins, {path: Origin(file, line) for path, line in where.items()}, ())
    main_file = sources[0][0]
    settings = _typed(merged, origins, main_file, base)
    files = tuple(file for file, _ in sources if file is not None)
    for problem in problems(settings):
        raise _error(problem.path, problem.text, origins, main_file)
    return Loaded(settings, files, origins, sources, base)


def file_of_environment() -> Path | None:
    """What PYMTA_CONFIG names."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def path_text(path: toml_lines.Path) -> str:
    """A path as a person writes it: `listeners[0].address`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_OCTETS_MAX:
            raise ConfigError(f"expected a file of at most {FILE_OCTETS_MAX} octets", file=file)
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"expected UTF-8, found octet {error.object[error.start]:#04x}", file=file
        ) from None


_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def _parse(text: str, file: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        if place is None:
            raise ConfigError(f"not TOML: {message}", file=file) from None
        line = int(place.group(1)) if place.group(1) else text.count("\n") + 1
        raise ConfigError(f"not TOML: {message[: place.start()]}", file=file, line=line) from None
    except RecursionError:
        raise ConfigError("not usable: nested too deeply", file=file) from None


def _merge(
    into: dict[str, Any],
    tree: dict[str, Any],
    origins: dict[toml_lines.Path, Origin],
    found: dict[toml_lines.Path, Origin],
    path: toml_lines.Path,
) -> None:
    """Lay *tree* over *into*, and where it was *found* over *origins*."""
    for key, value in tree.items():
        here = (*path, key)
        if here in found:
            origins[here] = found[here]
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, origins, found, here)
            continue
        into[key] = value
        for old in [old for old in origins if old[: len(here)] == here and old != here]:
            del origins[old]
        for new, origin in found.items():
            if new[: len(here)] == here:
                origins[new] = origin


# ---- types -----------------------------------------------------------------------------------------------------------

_MESSAGE_PATH: Final = re.compile(r" - at `(?:key in )?\$?(.*)`$")
_PATH_PART: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`")
_CHOICE: Final = re.compile(r"Invalid enum value (.*)")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")


def _typed(
    tree: dict[str, Any], origins: dict[toml_lines.Path, Origin], main_file: Path | None, base: Path
) -> Settings:
    try:
        return msgspec.convert(tree, Settings, dec_hook=_decoder(base))
    except msgspec.ValidationError as error:
        path, text = _explained(str(error), tree)
        raise _error(path, text, origins, main_file) from None


def _decoder(base: Path) -> Callable[[type[Any], Any], Any]:
    def decode(kind: type[Any], value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        if kind is Path:
            if not value or "\0" in value:
                raise ValueError(f"expected a path, got {value!r}")
            return base / Path(value).expanduser()
        if kind in _VALUES:
            return kind.parse(value)
        raise NotImplementedError(kind)

    return decode


def _explained(message: str, tree: dict[str, Any]) -> tuple[toml_lines.Path, str]:
    """msgspec's message as (path, what was expected), with the likely meaning of an unknown key."""
    place = _MESSAGE_PATH.search(message)
    path: toml_lines.Path = ()
    text = message
    if place is not None:
        text = message[: place.start()]
        for key, index in _PATH_PART.findall(place.group(1)):
            if not (key or index):
                continue
            path = (*path, int(index) if index else key)
    if (unknown := _UNKNOWN.fullmatch(text)) is not None:
        key = unknown.group(1)
        return (*path, key), f"unknown option{_suggestion(path, key)}"
    if (missing := _MISSING.fullmatch(text)) is not None:
        return (*path, missing.group(1)), "missing, and it has no default"
    if (choice := _CHOICE.fullmatch(text)) is not None:
        from pymta.config.describe import kind_at  # only to explain an error

        return path, f"expected {kind_at(path)}; got {choice.group(1)}"
    return path, text[:1].lower() + text[1:]


def _suggestion(path: toml_lines.Path, key: str) -> str:
    from pymta.config.describe import options_at  # only to explain an error

    names = options_at(path)
    close = difflib.get_close_matches(key, names, n=1)
    if close:
        return f'; is "{close[0]}" meant?'
    return f"; there are {', '.join(names)}" if len(names) <= 12 else ""


def _error(
    path: toml_lines.Path, text: str, origins: dict[toml_lines.Path, Origin], main_file: Path | None
) -> ConfigError:
    for length in range(len(path), 0, -1):
        origin = origins.get(path[:length])
        if origin is not None:
            return ConfigError(text, file=origin.file, line=origin.line, option=path_text(path))
    return ConfigError(text, file=main_file, option=path_text(path))
