"""
One event, one line: as JSON for programs, as text for people.

A line is always one line and always printable, whatever a peer sent: control characters, escape sequences, separators
of lines in Unicode and what reorders text are escaped, long text is cut (attack: log injection). The usual case, an
event of plain ASCII, pays for none of that: it is seen by three scans in C over the encoded line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from pymta.observe.events import Event, Trouble

__all__ = ["Encoder", "coloured_text_line", "json_line", "naming", "text_line", "trouble_of"]

TEXT_OCTETS_MAX: Final = 512
"""Longest value in a line, in characters; RFC 5321 allows paths of 256 and reply lines of 512."""

TRACEBACK_OCTETS_MAX: Final = 8192

_UNSEEN_OCTETS_MAX: Final = 2 * TEXT_OCTETS_MAX
"""A line not longer than this is taken as it is: no value in it can be longer by much than one may be."""

Encoder = Callable[[Event, int], bytes]
"""(event, milliseconds since 1970) → the line with its line feed."""

_encode: Final = msgspec.json.Encoder().encode

# What a terminal, or an editor, would act upon instead of showing: C0, DEL, C1, separators of lines, bidirectional
# controls, invisible format characters, and halves of surrogate pairs (octets that were not UTF-8).
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def _escape_match(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _plain(text: str, octets_max: int) -> str:
    """*text* cut to *octets_max* characters, with all that is not printable escaped as in a Python string."""
    if len(text) > octets_max:
        text = f"{text[:octets_max]}...(+{len(text) - octets_max})"
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_escape_match, text)


def _values(event: Event) -> dict[str, Any]:
    """The keys that have something to say, made safe; the traceback, which is ours, keeps its line feeds."""
    config = event.__struct_config__
    values: dict[str, Any] = {config.tag_field or "verb": config.tag}
    for name, default in zip(event.__struct_fields__, _defaults(type(event)), strict=True):
        value = getattr(event, name)
        if value == default and default is not msgspec.NODEFAULT:
            continue
        if isinstance(value, str):
            if name == "traceback":
                value = "\n".join(
                    _plain(row, TEXT_OCTETS_MAX) for row in value[-TRACEBACK_OCTETS_MAX:].splitlines()
                )
            else:
                value = _plain(value, TEXT_OCTETS_MAX)
        values[name] = value
    return values


def _defaults(kind: type[Event]) -> tuple[Any, ...]:
    fields, defaults = kind.__struct_fields__, kind.__struct_defaults__
    return (msgspec.NODEFAULT,) * (len(fields) - len(defaults)) + defaults


class _Time:
    """The instant as text; what was made last is kept, because in a burst many lines share it."""

    __slots__ = ("_second", "_text", "json_at_ms", "json_last")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""
        self.json_at_ms = -1
        self.json_last = b""

    def iso(self, at_ms: int) -> str:
        """`2026-11-23T08:25:01.042Z` (RFC 3339)."""
        second = at_ms // 1000
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{at_ms - second * 1000:03d}Z"

    def json(self, at_ms: int) -> bytes:
        """How every JSON line begins: `{"time":"...",`."""
        self.json_at_ms = at_ms
        self.json_last = f'{{"time":"{self.iso(at_ms)}",'.encode()
        return self.json_last


_time: Final = _Time()


def json_line(event: Event, at_ms: int) -> bytes:
    """`{"time":"...","verb":"...",...}` and a line feed; keys that hold their default are left out."""
    try:
        body = _encode(event)
    except UnicodeEncodeError:  # surrogates: octets of a peer that are not UTF-8
        body = _encode(_values(event))
    else:
        if len(body) > _UNSEEN_OCTETS_MAX or not body.isascii() or b"\x7f" in body:
            body = _encode(_values(event))
    # Looked at here, because most lines share their millisecond with the one before.
    begin = _time.json_last if at_ms == _time.json_at_ms else _time.json(at_ms)
    return begin + body[1:] + b"\n"


_BOLD, _RED, _YELLOW, _GREEN, _CYAN, _DIM, _OFF = (
    "\x1b[1m",
    "\x1b[31m",
    "\x1b[33m",
    "\x1b[32m",
    "\x1b[36m",
    "\x1b[2m",
    "\x1b[0m",
)
_VERB_WIDTH: Final = 8
_COLOURS: Final = {
    "connect": _DIM,
    "auth": _CYAN,
    "refuse": _YELLOW,
    "accept": _GREEN,
    "attempt": _GREEN,
    "done": _DIM,
    "report": _YELLOW,
    "admin": _CYAN,
    "trouble": _RED,
}
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9_.,:;@+/<>\[\]()*%-]+")


def text_line(event: Event, at_ms: int, *, colour: bool = False) -> bytes:
    """`08:25:01.042 accept   key=value ...`, in UTC; a traceback follows, indented, on lines of its own."""
    values = _values(event)
    verb = str(values.pop("verb"))
    traceback = str(values.pop("traceback", ""))
    parts = [f"{key}={_shown(value)}" for key, value in values.items()]
    stamp, padded = _time.iso(at_ms)[11:-1], verb.ljust(_VERB_WIDTH)
    if colour:
        hue = _COLOURS.get(verb, "")
        if verb == "attempt" and event.is_problem:
            hue = _YELLOW
        stamp, padded = f"{_DIM}{stamp}{_OFF}", f"{hue}{padded}{_OFF}"
        parts = [f"{_DIM}{key}={_OFF}{value}" for key, _, value in (part.partition("=") for part in parts)]
    text = f"{stamp} {padded} {' '.join(parts)}\n"
    if traceback:
        text += "".join(f"    {row}\n" for row in traceback.splitlines())
    return text.encode("utf-8", "backslashreplace")


def coloured_text_line(event: Event, at_ms: int) -> bytes:
    """`text_line` for a terminal."""
    return text_line(event, at_ms, colour=True)


def naming(encode: Encoder, worker: int, format: Literal["json", "text"]) -> Encoder:  # noqa: A002 - the option's name
    """*encode* with the worker's number in each line, behind the time (JSON) or the verb (text without colours)."""
    at, name = (
        (_JSON_TIME_OCTETS, b'"worker":%d,') if format == "json" else (_TEXT_VERB_OCTETS, b"worker=%d ")
    )
    name %= worker

    def encode_named(event: Event, at_ms: int) -> bytes:
        line = encode(event, at_ms)
        return line[:at] + name + line[at:]

    return encode_named


_JSON_TIME_OCTETS: Final = len('{"time":"2026-11-23T08:25:01.042Z",')
_TEXT_VERB_OCTETS: Final = len("08:25:01.042 accept   ")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return text if _UNQUOTED.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def trouble_of(
    what: str, error: BaseException, *, where: str = "", sid: str = "", spool_id: str = ""
) -> Trouble:
    """The event for an exception that nobody expected, with its traceback."""
    import traceback  # only in trouble

    return Trouble(
        what=what,
        error=f"{type(error).__name__}: {error}",
        where=where,
        traceback="".join(traceback.format_exception(error, limit=-12)).rstrip("\n"),
        sid=sid,
        spool_id=spool_id,
    )
