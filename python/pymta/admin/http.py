"""
HTTP on loopback: /metrics for Prometheus, /health and /ready for whoever starts and watches the server.

    /health   200 while the process answers at all: restart it where this fails
    /ready    200 while new mail is accepted, 503 with the reason while it is not (starting, stopping, disk full)

No secrets are here, and nothing can be changed here; that is what the control socket is for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pymta.admin.asgi import AsgiServer, OnTrouble
from pymta.config.values import Endpoint
from pymta.observe.exposition import CONTENT_TYPE

__all__ = ["HttpServer"]

_INDEX = "pymta\n\n/metrics  numbers for Prometheus\n/health   whether the process lives\n/ready    whether mail is accepted\n"


class Exposes(Protocol):
    """Makes the numbers."""

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        ...


class HttpServer:
    """
    Args:
        address: Where to listen; port 0 lets the system choose.
        exposition: Makes the numbers.
        why_not_ready: None while new mail is accepted, else the reason.
        on_trouble: Told what our own code raised.

    Raises:
        OSError: The address cannot be bound.
    """

    def __init__(
        self,
        address: Endpoint,
        *,
        exposition: Exposes,
        why_not_ready: Callable[[], str | None],
        on_trouble: OnTrouble,
    ) -> None:
        self._exposition = exposition
        self._why_not_ready = why_not_ready
        family = socket.AF_INET6 if ":" in address.address else socket.AF_INET
        try:
            listening = socket.create_server((address.address, address.port), family=family, backlog=64)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(address)) from None
        self.port: int = listening.getsockname()[1]
        app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/metrics", self._metrics),
                Route("/health", self._health),
                Route("/ready", self._ready),
            ]
        )
        self._server = AsgiServer(app, listening, on_trouble)

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Close."""
        await self._server.stop()

    async def _index(self, request: Request) -> Response:
        return PlainTextResponse(_INDEX)

    async def _metrics(self, request: Request) -> Response:
        return Response(self._exposition.text(), media_type=CONTENT_TYPE)

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        reason = self._why_not_ready()
        return PlainTextResponse(
            "ready\n" if reason is None else f"{reason}\n", 200 if reason is None else 503
        )
