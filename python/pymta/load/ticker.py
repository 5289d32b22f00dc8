"""
A timer finer than the loop's, whose own have a resolution of a millisecond: too coarse to say when a message is sent that
takes a fifth of that.

A Linux timerfd, which Python offers only from 3.13 on, so it is asked for through the C library. Where there is none the
loop's timer has to do, and messages go out up to a millisecond late, which their latency then holds.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from typing import Final

__all__ = ["Ticker"]

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_ABSTIME: Final = 1
_NS: Final = 1_000_000_000


class _Itimerspec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2): interval and first expiry, each as seconds and nanoseconds."""

    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


class Ticker:
    """Calls *on_tick* at instants of `time.monotonic_ns`, one at a time; the last `at` counts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_tick: Callable[[], None]) -> None:
        self._loop = loop
        self._on_tick = on_tick
        self._timer: asyncio.TimerHandle | None = None
        self._library = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        try:
            self._fd = self._library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        except AttributeError:
            pass
        if self._fd >= 0:
            loop.add_reader(self._fd, self._expired)

    @property
    def is_fine(self) -> bool:
        """Whether it is finer than the loop's timers."""
        return self._fd >= 0

    def at(self, instant_ns: int, now_ns: int) -> None:
        """Tick at *instant_ns*, or soon where that is over."""
        if self._fd < 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(0, instant_ns - now_ns) / _NS, self._on_tick)
            return
        # An instant of 0 would switch it off.
        seconds, nanoseconds = divmod(max(1, instant_ns), _NS)
        spec = _Itimerspec(0, 0, seconds, nanoseconds)
        self._library.timerfd_settime(self._fd, _ABSTIME, ctypes.byref(spec), None)

    def close(self) -> None:
        """No more ticks."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the expiry and this call
            return
        self._on_tick()
