"""
Signals: SIGTERM and SIGINT stop, SIGHUP reloads. A second SIGINT stops at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

__all__ = ["install"]


def install(
    loop: asyncio.AbstractEventLoop, *, on_stop: Callable[[str], None], on_reload: Callable[[], None]
) -> Callable[[], None]:
    """
    Call *on_stop* with the signal's name, *on_reload* without anything, from the loop.

    Returns:
        What takes the handlers away again.
    """
    interrupts = 0

    def stop(number: signal.Signals) -> None:
        nonlocal interrupts
        if number is signal.SIGINT:
            interrupts += 1
            if (
                interrupts > 1
            ):  # somebody at a terminal who does not want to wait; what was accepted is on disk
                os._exit(130)
        on_stop(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    # A client or a reader of our output that went away is seen as an error of the write.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def uninstall() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    return uninstall
