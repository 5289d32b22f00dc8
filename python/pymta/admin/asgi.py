"""
An ASGI application served inside our own loop, on a socket of ours; uvicorn does the HTTP.

Signals, logging and the loop stay ours: uvicorn gets none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

__all__ = ["AsgiServer", "OnTrouble"]

_CONNECTIONS_MAX: Final = 64
_HEAD_OCTETS_MAX: Final = 16 * 1024
_IDLE_S_MAX: Final = 5
_STOP_S_MAX: Final = 2.0

OnTrouble = Callable[[str, str], None]
"""(what, traceback): a request made our code raise."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM is for the whole server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _TroubleHandler(logging.Handler):
    """uvicorn's log, of which only exceptions in our own code are of interest; what a peer sent wrong is not."""

    def __init__(self, on_trouble: OnTrouble) -> None:
        super().__init__(logging.ERROR)
        self._on_trouble = on_trouble

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage() if error is None else "".join(traceback.format_exception(error, limit=-8))
        self._on_trouble("http request failed", text)


class AsgiServer:
    """
    Serves *app* on *listening*, a bound and listening socket, which it closes in the end.

    Bounded: connections, the head of a request, idle time. Bodies are the application's to bound.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, on_trouble: OnTrouble) -> None:
        self._socket = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                interface="asgi3",
                http="h11",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS_MAX,
                timeout_keep_alive=_IDLE_S_MAX,
                timeout_graceful_shutdown=int(_STOP_S_MAX),
                h11_max_incomplete_event_size=_HEAD_OCTETS_MAX,
            )
        )
        logger = logging.getLogger("uvicorn.error")
        logger.propagate = False
        logger.handlers[:] = [_TroubleHandler(on_trouble)]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Finish the requests in hand within a limit, then close."""
        if self._task is not None:
            self._server.should_exit = True
            done, _ = await asyncio.wait({self._task}, timeout=_STOP_S_MAX)
            if not done:
                self._task.cancel()
            self._task = None
        self._socket.close()
