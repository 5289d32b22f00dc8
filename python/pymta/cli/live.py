"""
The live line of `pymta load` and `pymta sink`: one line on the terminal that is drawn over, a few times a second.

Only where standard error is a terminal, so that pipes and logs hold nothing but the result.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["LiveLine", "Rate"]

_DRAW_S: Final = 0.25


class Rate:
    """A rate over about the last second."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []

    def per_s(self, now_s: float, count: int) -> float:
        """The rate, now that *count* is reached."""
        self._samples.append((now_s, count))
        while len(self._samples) > 2 and now_s - self._samples[0][0] > 1.0:
            del self._samples[0]
        began_s, before = self._samples[0]
        return (count - before) / (now_s - began_s) if now_s > began_s else 0.0


class LiveLine:
    """
    Draws what *text* gives until it is stopped; a context manager, within a running loop.

    It draws nothing where *wanted* is False or standard error is no terminal.
    """

    def __init__(self, text: Callable[[float], str], *, wanted: bool = True) -> None:
        self._text = text
        self._wanted = wanted and sys.stderr.isatty()
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if not self._wanted:
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True)
        self._live.start()
        self._draw()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._live.stop()

    def _draw(self) -> None:
        from rich.text import Text

        assert self._live is not None, "drawn only between start and stop"
        loop = asyncio.get_running_loop()
        line = Text(self._text(loop.time()), no_wrap=True, overflow="ellipsis")
        self._live.update(line, refresh=True)
        self._timer = loop.call_later(_DRAW_S, self._draw)
