"""
The log: `log.emit(event)` and nothing else is what the rest of the server needs to know of it.

Decides which events are written and how they are encoded; the words are `events.py`, the line is `line.py`, the file
is `writer.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Self

from pymta.observe.events import EVENTS, Admin, Event, Trouble, Verb
from pymta.observe.line import Encoder, coloured_text_line, json_line, naming, text_line, trouble_of
from pymta.observe.writer import Writer

__all__ = ["Log", "LogFormat", "VerbLevel"]

LogFormat = Literal["auto", "json", "text"]
VerbLevel = Literal["all", "problems", "none"]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Log:
    """
    Writes events as lines.

    Args:
        writer: Where to.
        format: "auto" is text on a terminal and JSON elsewhere.
        verbs: Which verbs are written less than always; Admin and Trouble always are.
        now_ms: The clock; a test has its own.
        worker: Its number, which is in each line then; 0 where one process does all.
    """

    __slots__ = ("_encode", "_levels", "_now_ms", "format", "writer")

    def __init__(
        self,
        writer: Writer,
        *,
        format: LogFormat = "auto",  # noqa: A002 - the option's name
        verbs: Mapping[Verb, VerbLevel] | None = None,
        now_ms: Callable[[], int] = _now_ms,
        worker: int = 0,
    ) -> None:
        self.writer = writer
        self._now_ms = now_ms
        self.format: Literal["json", "text"] = (
            "json" if format == "json" or (format == "auto" and not writer.is_terminal) else "text"
        )
        self._encode: Encoder = _encoder(self.format, writer)
        if worker:
            self._encode = naming(self._encode, worker, self.format)
        # Only what is not written always has an entry: the usual event costs one failed look-up.
        self._levels: dict[type[Event], VerbLevel] = {}
        levels = {str(verb): level for verb, level in (verbs or {}).items()}
        for kind in EVENTS:
            level = levels.get(str(kind.__struct_config__.tag), "all")
            if level != "all" and kind not in (Admin, Trouble):
                self._levels[kind] = level
        writer.dropped_line = self._dropped_line

    @classmethod
    def open(
        cls,
        *,
        file: Path | None = None,
        format: LogFormat = "auto",  # noqa: A002 - the option's name
        verbs: Mapping[Verb, VerbLevel] | None = None,
        pending_octets_max: int = 4 * 1024 * 1024,
        worker: int = 0,
    ) -> Self:
        """
        The log that a configuration's [log] describes.

        Raises:
            OSError: The file cannot be opened.
        """
        return cls(
            Writer(file, pending_octets_max=pending_octets_max), format=format, verbs=verbs, worker=worker
        )

    def emit(self, event: Event) -> None:
        """Write one line for *event*, soon."""
        if self._levels:
            level = self._levels.get(type(event))
            if level is not None and (level == "none" or not event.is_problem):
                return
        self.writer.write(self._encode(event, self._now_ms()))

    def trouble(
        self, what: str, error: BaseException, *, where: str = "", sid: str = "", spool_id: str = ""
    ) -> None:
        """Write that an exception came that nobody expected, with its traceback."""
        self.emit(trouble_of(what, error, where=where, sid=sid, spool_id=spool_id))

    def reopen(self) -> None:
        """After SIGHUP. A file that cannot be opened again stays as it is, and the log says so."""
        try:
            self.writer.reopen()
        except OSError as error:
            self.emit(Trouble(what="log file not opened again", error=str(error)))

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()

    def _dropped_line(self, count: int) -> bytes:
        return self._encode(Trouble(what="log lines dropped", count=count), self._now_ms())


def _encoder(format: Literal["json", "text"], writer: Writer) -> Encoder:  # noqa: A002 - the option's name
    if format == "json":
        return json_line
    # https://no-color.org: set and not empty means no colours, whatever the terminal can do.
    return coloured_text_line if writer.is_terminal and not os.environ.get("NO_COLOR") else text_line
