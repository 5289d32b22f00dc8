"""
One message to one server, and what the server said: `ClientSession` on a blocking socket.

Not for many messages (pymta.load, deliver/). It ends: every wait for the server has a limit.
"""

import socket
import ssl
from typing import Final

from pymta._core import (
    ClientSession,
    ClientSettings,
    ClosedEvent,
    Envelope,
    OutcomeEvent,
    ReadyEvent,
    Reply,
    TlsEvent,
)

__all__ = ["Unreachable", "hand_over"]

_READ_OCTETS: Final = 65_536


class Unreachable(Exception):
    """The server took nothing: no connection, or it ended before mail could flow. *no_such_host*: it never will be."""

    def __init__(self, why: str, *, no_such_host: bool = False) -> None:
        super().__init__(why)
        self.no_such_host = no_such_host


def hand_over(
    envelope: Envelope,
    content: bytes,
    *,
    server: tuple[str, int],
    hello_name: str,
    context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    wait_s_max: float = 300.0,
) -> list[tuple[int, Reply]]:
    """
    Send *content*; returns the reply for each recipient, by index.

    Args:
        envelope: Who it is from and for.
        content: With CRLF lines.
        server: Host and port.
        hello_name: What to say in EHLO.
        context: For STARTTLS where it is offered, or for *implicit_tls*; None stays in the clear.
        implicit_tls: Begin with the handshake.
        wait_s_max: How long the server may take for anything (RFC 5321 §4.5.3.2 has minutes).

    Raises:
        Unreachable: It took nothing, and said nothing of this message.
    """
    assert context is not None or not implicit_tls, "TLS needs a context"
    connection = _connect(server, wait_s_max)
    try:
        if implicit_tls and context is not None:
            connection = _shake_hands(connection, context, server[0])
        settings = ClientSettings(
            hello_name=hello_name,
            starttls="opportunistic" if context is not None and not implicit_tls else "never",
        )
        session = ClientSession(settings, secure=implicit_tls)
        return _converse(session, connection, envelope, content, context, server[0])
    finally:
        connection.close()


def _connect(server: tuple[str, int], wait_s_max: float) -> socket.socket:
    try:
        return socket.create_connection(server, timeout=wait_s_max)
    except socket.gaierror as error:
        again = error.errno == socket.EAI_AGAIN
        raise Unreachable(f"{server[0]}: {error.strerror}", no_such_host=not again) from None
    except OSError as error:
        raise Unreachable(f"{server[0]}:{server[1]}: {error.strerror or error}") from None


def _shake_hands(connection: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except OSError as error:
        raise Unreachable(f"TLS with {host}: {error.strerror or error}") from None


def _converse(
    session: ClientSession,
    connection: socket.socket,
    envelope: Envelope,
    content: bytes,
    context: ssl.SSLContext | None,
    host: str,
) -> list[tuple[int, Reply]]:
    outcomes: list[tuple[int, Reply]] | None = None
    why: Reply | None = None
    is_over = False
    while not is_over:
        while (event := session.next_event()) is not None:
            if isinstance(event, ReadyEvent):
                session.deliver_content(envelope, content)
            elif isinstance(event, OutcomeEvent):
                outcomes = event.outcomes
                session.quit()
            elif isinstance(event, TlsEvent):
                assert context is not None, "asked for only with one"
                connection = _shake_hands(connection, context, host)
                session.tls_started()
            elif isinstance(event, ClosedEvent):
                is_over, why = True, event.reply
        _exchange(session, connection)
    if outcomes is None:
        raise Unreachable(_in_words(why))
    return outcomes


def _exchange(session: ClientSession, connection: socket.socket) -> None:
    """Send what is to be sent, then read once."""
    try:
        while octets := session.output():
            connection.sendall(octets)
        if not session.closed:
            chunk = connection.recv(_READ_OCTETS)
            if chunk:
                session.receive(chunk)
            else:
                session.end_of_stream("connection closed by the server")
    except TimeoutError:
        session.end_of_stream("no reply in time")
    except OSError as error:
        session.end_of_stream((error.strerror or str(error)).lower())


def _in_words(why: Reply | None) -> str:
    return (
        "the server hung up"
        if why is None
        else f"{why.code} {why.enhanced or ''} {why.text}".replace("  ", " ")
    )
