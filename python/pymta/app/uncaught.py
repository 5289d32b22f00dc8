"""
Exceptions that nobody caught: a line of the log each, instead of text on standard error that no program can read.

Not a way to handle them: whatever raised is over. Rule: nothing but the log is written by a running server, because where
the log goes to standard error, text with octets of a peer in it would be lines that the peer wrote.
"""

import asyncio
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pymta.observe.events import Trouble
from pymta.observe.log import Log

__all__ = ["report_to"]


def report_to(log: Log, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Report to *log* what *loop* and the interpreter would print; returns what ends that."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda args: _unraisable(log, args.exc_value, args.exc_traceback, args.object)
    loop.set_exception_handler(lambda _, context: _in_loop(log, context))

    def end() -> None:
        sys.unraisablehook = before
        loop.set_exception_handler(None)

    return end


def _in_loop(log: Log, context: dict[str, Any]) -> None:
    error, what = context.get("exception"), str(context.get("message", "callback failed"))
    if isinstance(error, BaseException):
        log.trouble(what, error, where="loop")
    else:
        log.emit(Trouble(what=what, where="loop"))


def _unraisable(
    log: Log, error: BaseException | None, traceback: TracebackType | None, culprit: object
) -> None:
    if isinstance(error, UnicodeDecodeError) and isinstance(culprit, bytes):
        # The server name of a TLS handshake that is not ASCII: the ssl module cannot call our callback with it, ends
        # the handshake with an alert, and has nowhere to raise. The session's line says "tls_failed".
        return
    if error is not None:
        log.trouble("uncaught exception", error.with_traceback(traceback), where="interpreter")
