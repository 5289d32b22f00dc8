"""
What options there are, read from the structs that define them: for the reference page, `pymta check` and error texts.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from pymta.config.option import Option, Section
from pymta.config.settings import Settings
from pymta.config.toml_lines import Path
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

__all__ = ["Described", "DescribedSection", "kind_at", "options_at", "sections", "written"]

_KINDS: Final[dict[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    FilePath: "path",
    DomainPattern: "domain pattern",
    Endpoint: "address:port",
    HostName: "host name",
    Network: "network",
    NextHop: "host, host:port",
    MailAddress: "address of somebody",
    Resolver: "address, address:port",
    SourceAddress: "address",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One option: what the page says about it."""

    name: str
    kind: str
    default: str
    option: Option


@dataclass(frozen=True, slots=True)
class DescribedSection:
    """One table of the file: its heading as it is written there, what it is about, its options."""

    heading: str
    doc: str
    options: tuple[Described, ...]


def sections() -> Iterator[DescribedSection]:
    """All tables of the file, in the order of `Settings`."""
    for name, hint in _hints(Settings).items():
        section, is_list = _section_of(hint)
        heading = f"[[{name}]]" if is_list else f"[{name}]"
        yield DescribedSection(heading, inspect.cleandoc(section.__doc__ or ""), tuple(_options(section)))


def options_at(path: Path) -> list[str]:
    """The names that may be written in the table at *path*; empty where there is no such table."""
    section: type[Section] = Settings
    for part in path:
        if isinstance(part, int):
            continue
        hint = _hints(section).get(part)
        if hint is None:
            return []
        try:
            section, _ = _section_of(hint)
        except TypeError:
            return []
    return list(section.__struct_fields__)


def kind_at(path: Path) -> str:
    """What may be written at *path*, in words; empty where there is no such option."""
    *table, last = [part for part in path if isinstance(part, str)] or [""]
    section: type[Section] = Settings
    for part in table:
        hint = _hints(section).get(part)
        if hint is None:
            return ""
        try:
            section, _ = _section_of(hint)
        except TypeError:
            return _kind(hint).replace("`", "")
    hint = _hints(section).get(last)
    try:
        return _kind(hint).replace("`", "")
    except KeyError:
        return ""


def written(value: Any) -> str:
    """A value as it is written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {written(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _options(section: type[Section]) -> Iterator[Described]:
    defaults = _defaults(section)
    for name, hint in _hints(section).items():
        option = _option_of(hint)
        if option is None:
            raise TypeError(f"{section.__name__}.{name} has no Option: every option is documented")
        default = defaults[name]
        if default is msgspec.NODEFAULT:
            text = "none, it must be given"
        elif option.default:
            text = option.default
        else:
            text = f"`{written(default)}`"
        yield Described(name, _kind(hint), text, option)


def _defaults(section: type[Section]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in msgspec.structs.fields(section):
        if field.default_factory is not msgspec.NODEFAULT:
            result[field.name] = field.default_factory()
        else:
            result[field.name] = field.default
    return result


def _hints(section: type[Section]) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _option_of(hint: Any) -> Option | None:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Option)), None)


def _section_of(hint: Any) -> tuple[type[Section], bool]:
    """The struct of a table, and whether there may be several of it. TypeError where it is no table."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    is_list = get_origin(bare) is tuple
    kind = get_args(bare)[0] if is_list else bare
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise TypeError(f"{kind} is no section")
    return kind, is_list


def _kind(hint: Any) -> str:
    """A type in words, with its bounds."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [extra for extra in args[1:] if isinstance(extra, msgspec.Meta)]
        return _kind(args[0]) + "".join(_bounds(meta) for meta in bounds)
    if origin is Literal:
        return " or ".join(f'`"{choice}"`' for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        return f"list of {_kind(args[0])}"
    if origin is dict:
        return f"table of {_kind(args[1])}" + ("" if args[0] is str else f", by {_kind(args[0])}")
    return _KINDS[hint]


def _bounds(meta: msgspec.Meta) -> str:
    if meta.pattern is not None:
        return f" like `{meta.pattern}`"
    if meta.ge is None and meta.le is None:
        return ""
    return f", at least {meta.ge}" if meta.le is None or meta.le > 1 << 30 else f", {meta.ge} to {meta.le}"
