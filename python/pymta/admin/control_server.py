"""
The control socket: `Control` over HTTP on a Unix socket in the data folder, for the command line of the same user.

JSON in and out, the structs of `control.py`. Whoever may open the socket may do everything: it belongs to the server's
user alone. What is not understood gets an answer that says so, and never does more harm than that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pymta.admin import unix_socket
from pymta.admin.asgi import AsgiServer, OnTrouble
from pymta.admin.control import (
    SOCKET_NAME,
    Action,
    Control,
    NotNow,
    QueueQuery,
    RenewRequest,
    Selection,
    SuspendRequest,
)
from pymta.mail.errors import TemporaryFailure

__all__ = ["ControlServer"]

BODY_OCTETS_MAX: Final = 4 * 1024 * 1024
"""Room for a quarter of a million spool ids."""

T = TypeVar("T")


class _RequestError(Exception):
    """The request makes no sense; its text is for who sent it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ControlServer:
    """
    Args:
        data_folder: Where the socket is made.
        control: Who does the work.
        on_trouble: Told what our own code raised.

    Raises:
        OSError: The socket cannot be made.
    """

    def __init__(self, data_folder: Path, control: Control, on_trouble: OnTrouble) -> None:
        self._control = control
        self._path = data_folder / SOCKET_NAME
        app = Starlette(
            routes=[
                Route("/status", self._status),
                Route("/queue", self._list),
                Route("/queue/{spool_id:path}", self._show),
                Route("/queue/do/{action}", self._act, methods=["POST"]),
                Route("/suspend", self._suspend, methods=["POST"]),
                Route("/reload", self._reload, methods=["POST"]),
                Route("/acme/renew", self._renew, methods=["POST"]),
                Route("/explain", self._explain, methods=["POST"]),
            ],
            exception_handlers={_RequestError: _answer_request_error, NotNow: _answer_not_now},
        )
        self._server = AsgiServer(app, unix_socket.listen(self._path), on_trouble)

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Close, and take the socket away."""
        await self._server.stop()
        self._path.unlink(missing_ok=True)

    async def _status(self, request: Request) -> Response:
        return _json(await self._control.status())

    async def _list(self, request: Request) -> Response:
        query = _converted(dict(request.query_params), QueueQuery)
        return _json(await self._control.list_messages(query))

    async def _show(self, request: Request) -> Response:
        detail = await self._control.show(request.path_params["spool_id"])
        if detail is None:
            raise _RequestError(
                404, "no such message in the queue; what became of one that left is in the log"
            )
        return _json(detail)

    async def _act(self, request: Request) -> Response:
        action = request.path_params["action"]
        if action not in get_args(Action):
            raise _RequestError(404, "no such action")
        selection = await _decoded(request, Selection)
        if selection.problem is not None:
            raise _RequestError(400, selection.problem)
        return _json(await self._control.act(action, selection))

    async def _suspend(self, request: Request) -> Response:
        await self._control.suspend(await _decoded(request, SuspendRequest))
        return _json({})

    async def _reload(self, request: Request) -> Response:
        return _json(await self._control.reload())

    async def _renew(self, request: Request) -> Response:
        try:
            return _json(await self._control.renew(await _decoded(request, RenewRequest)))
        except ValueError as error:
            raise _RequestError(400, str(error)) from None

    async def _explain(self, request: Request) -> Response:
        try:
            return _json(await self._control.explain(await _decoded(request, str)))
        except ValueError as error:
            raise _RequestError(400, str(error)) from None
        except TemporaryFailure as error:  # the directory's file, for example
            raise _RequestError(503, str(error)) from None


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, _RequestError), "registered for nothing else"
    return _json({"error": str(error)}, error.status)


async def _answer_not_now(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 503)


def _converted(values: dict[str, str], kind: type[T]) -> T:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _RequestError(400, str(error)) from None


async def _decoded(request: Request, kind: type[T]) -> T:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_OCTETS_MAX:
                raise _RequestError(413, f"expected at most {BODY_OCTETS_MAX} octets")
    except ClientDisconnect:
        raise _RequestError(400, "the request ended in the middle") from None
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise _RequestError(400, str(error)) from None
