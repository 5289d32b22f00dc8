"""
A client that sends exactly the octets that it is told and hears every reply: what a well-behaved client cannot do.

Not for ordinary mail (smtplib and swaks are). Rule: a test that ends with `all_replies` has seen all that the server said
on that connection, so a reply too many fails it.
"""

import socket
import ssl
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

WAIT_S_MAX = 15.0
LINE_OCTETS_MAX = 64 * 1024


class Wire:
    """One connection to 127.0.0.1:*port*; a context manager that closes it."""

    def __init__(self, port: int, *, greeted: bool = True, hello: str = "") -> None:
        """
        Connect.

        Args:
            greeted: Read the greeting, which must be a 220.
            hello: Say EHLO with that name, and expect 250.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), WAIT_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        self.local_port: int = self._socket.getsockname()[1]
        if greeted:
            greeting = self.reply()
            assert greeting.startswith("220 "), greeting
        if hello:
            assert self.ask(f"EHLO {hello}").startswith("250"), "EHLO was refused"

    # ---- octets

    def send(self, *pieces: bytes | str) -> None:
        """Send the pieces in one write, as they are."""
        self._socket.sendall(b"".join(_octets(piece) for piece in pieces))

    def send_in_steps(self, pieces: Iterable[bytes]) -> int:
        """Send piece after piece for as long as the server takes them; how many octets went out."""
        sent_octets = 0
        try:
            for piece in pieces:
                self._socket.sendall(piece)
                sent_octets += len(piece)
        except OSError:
            pass  # it hung up on us, which is an answer
        return sent_octets

    def hear_any(self) -> bytes:
        """Some octets that are no replies; empty at the end of the connection."""
        return self._socket.recv(65536)

    # ---- replies

    def reply(self) -> str:
        """The next reply, its lines joined by a line feed; EOFError where the connection ends instead."""
        lines = [self._line()]
        while lines[-1][3:4] == "-":
            lines.append(self._line())
        return "\n".join(lines)

    def ask(self, *pieces: bytes | str) -> str:
        """Send the pieces, CRLF behind them, and hear the reply."""
        self.send(*pieces, b"\r\n")
        return self.reply()

    def all_replies(self, *pieces: bytes | str) -> list[str]:
        """Send the pieces and then QUIT; every reply until the server closes the connection."""
        try:
            self.send(*pieces, b"QUIT\r\n")
        except OSError:
            pass  # it has closed already; what it said before is still to be read
        return self.rest()

    def rest(self) -> list[str]:
        """Every reply until the server closes the connection."""
        replies = []
        try:
            while True:
                replies.append(self.reply())
        except (EOFError, ConnectionError):
            assert b"" == self._unread, f"the connection ended within a line: {self._unread!r}"
            return replies

    def is_closed(self) -> bool:
        """Whether the server has closed the connection; asks without waiting, and keeps what it said before."""
        self._socket.setblocking(False)
        try:
            while octets := self._socket.recv(65536):
                self._unread += octets
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self._socket.settimeout(WAIT_S_MAX)

    def _line(self) -> str:
        while b"\r\n" not in self._unread:
            assert len(self._unread) < LINE_OCTETS_MAX, "a reply line without end"
            octets = self._socket.recv(65536)
            if not octets:
                raise EOFError
            self._unread += octets
        line, self._unread = self._unread.split(b"\r\n", 1)
        assert b"\r" not in line, line
        assert b"\n" not in line, line
        return line.decode("utf-8", "backslashreplace")

    # ---- TLS

    def start_tls(self, name: str = "mail.example.test") -> str:
        """Shake hands without checking the certificate; the protocol version."""
        assert b"" == self._unread, f"said in the clear before the handshake: {self._unread!r}"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secured = context.wrap_socket(self._socket, server_hostname=name)
        self._socket = secured
        return secured.version() or ""

    # ---- its life

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def reset(self) -> None:
        """Hang up by a RST: nothing more is sent, nothing is waited for."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ready(
    port: int, *, reverse_path: str = "author@example.net", forward_path: str = "reader@us.test"
) -> Wire:
    """A connection on which MAIL and RCPT were accepted."""
    wire = Wire(port, hello="client.example.net")
    for command in (f"MAIL FROM:<{reverse_path}>", f"RCPT TO:<{forward_path}>"):
        reply = wire.ask(command)
        assert reply.startswith("250 "), (command, reply)
    return wire


def in_data(
    port: int, *, reverse_path: str = "author@example.net", forward_path: str = "reader@us.test"
) -> Wire:
    """A connection on which content is expected."""
    wire = ready(port, reverse_path=reverse_path, forward_path=forward_path)
    assert wire.ask("DATA").startswith("354 ")
    return wire


def codes(replies: Iterable[str]) -> list[str]:
    """The code and the enhanced status of each reply, such as "250 2.1.0"; the code alone where there is no status."""
    found = []
    for reply in replies:
        code, status = reply[:3], reply[4:].partition(" ")[0]
        parts = status.split(".")
        has_status = len(parts) == 3 and all(part.isdigit() for part in parts)
        found.append(f"{code} {status}" if has_status else code)
    return found


def _octets(piece: bytes | str) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece
