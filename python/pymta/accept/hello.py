"""
A look at what a TLS client says first, before the handshake begins: is it an authority that wants a proof (RFC 8737)?

Nothing is taken from the connection, so the handshake finds all of it. Only looked at while an authority is expected.
"""

import asyncio
import socket
import ssl

from pymta.tls.challenge import TlsChallenges
from pymta.tls.client_hello import HELLO_OCTETS_MAX, NeedMore, read_client_hello

__all__ = ["challenge_context"]


async def challenge_context(
    connection: socket.socket, challenges: TlsChallenges, wait_s_max: float
) -> ssl.SSLContext | None:
    """
    The context that answers an authority; None for everybody else, and for whoever says nothing that can be read.

    Raises:
        TimeoutError: The client has not said what it has to say.
    """
    try:
        async with asyncio.timeout(wait_s_max):
            seen = 0
            while True:
                await _more_than(connection, seen)
                looked = connection.recv(HELLO_OCTETS_MAX, socket.MSG_PEEK)
                try:
                    return challenges.context_for(read_client_hello(looked))
                except NeedMore:
                    if len(looked) <= seen:
                        return None  # no more will come
                    seen = len(looked)
    except TimeoutError:
        raise
    except (OSError, ValueError):
        return None
    finally:
        _wake_at(connection, 1)


async def _more_than(connection: socket.socket, octets: int) -> None:
    """Wait until more than so many octets are there to be read, or none will come any more."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    # Without the mark it would be readable all the time, because what was looked at is still there (socket(7)).
    _wake_at(connection, octets + 1)
    loop.add_reader(connection.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection.fileno())


def _wake_at(connection: socket.socket, octets: int) -> None:
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, octets)
