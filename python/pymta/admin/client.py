"""
The command line's side of the control socket: one method for each question, the structs of `control.py` as answers.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from pymta.acme.outcome import Renewal
from pymta.admin import unix_socket
from pymta.admin.control import (
    SOCKET_NAME,
    Action,
    ActionResult,
    MessageDetail,
    QueueQuery,
    QueueRow,
    ReloadResult,
    RenewRequest,
    Selection,
    Status,
    SuspendRequest,
)
from pymta.mail.errors import PymtaError

__all__ = ["ControlClient", "ControlError", "NotRunning"]

_WAIT_S_MAX: Final = 600.0
"""Acting on a million messages takes a while."""

_ANSWER_OCTETS_MAX: Final = 64 * 1024 * 1024

T = TypeVar("T")


class NotRunning(PymtaError):
    """No server answers in that data folder."""


class ControlError(PymtaError):
    """The server did not do it; the text says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_WAIT_S_MAX)
        self._path = path

    def connect(self) -> None:
        self.sock: socket.socket = unix_socket.connect(self._path, _WAIT_S_MAX)


class ControlClient:
    """Talks to the server whose data is in *data_folder*, a connection for each question."""

    def __init__(self, data_folder: Path) -> None:
        self._path = data_folder / SOCKET_NAME

    def status(self) -> Status:
        """How the server is."""
        return self._ask("GET", "/status", Status)

    def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """At most `query.count_max` messages."""
        given = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not None}
        return self._ask("GET", f"/queue?{urlencode(given)}", list[QueueRow])

    def show(self, spool_id: str) -> MessageDetail:
        """One message; ControlError where there is none of that id."""
        return self._ask("GET", f"/queue/{quote(spool_id, safe='')}", MessageDetail)

    def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do something to messages."""
        return self._ask("POST", f"/queue/do/{action}", ActionResult, selection)

    def suspend(self, request: SuspendRequest) -> None:
        """Suspend a domain, or go on with it."""
        self._ask("POST", "/suspend", dict[str, Any], request)

    def reload(self) -> ReloadResult:
        """Read configuration and policy script again."""
        return self._ask("POST", "/reload", ReloadResult)

    def renew(self, request: RenewRequest) -> list[Renewal]:
        """Ask the authority for certificates; returns when all is over."""
        return self._ask("POST", "/acme/renew", list[Renewal], request)

    def explain(self, address: str) -> dict[str, Any]:
        """Where mail for an address would go."""
        return self._ask("POST", "/explain", dict[str, Any], address)

    def _ask(self, method: str, target: str, kind: type[T], body: object = None) -> T:
        """
        One request.

        Raises:
            NotRunning: Nobody listens.
            ControlError: The answer is no, or none.
        """
        connection = _UnixConnection(self._path)
        try:
            try:
                connection.connect()
            except (FileNotFoundError, ConnectionRefusedError):
                raise NotRunning(f"no server is running with its data in {self._path.parent}") from None
            except OSError as error:
                raise ControlError(f"{self._path}: {error.strerror}") from None
            connection.request(method, target, None if body is None else msgspec.json.encode(body))
            answered = connection.getresponse()
            answer = answered.read(_ANSWER_OCTETS_MAX)
            if answered.status != 200:
                raise ControlError(_error_of(answer) or f"the server answered {answered.status}")
            return msgspec.json.decode(answer, type=kind)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise ControlError(f"the server's answer did not arrive: {error}") from None
        finally:
            connection.close()


def _error_of(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=dict[str, str]).get("error", "")
    except msgspec.MsgspecError:
        return ""
