"""
An SMTP client that sends octets exactly as told: what smtplib and swaks would put right, fold or refuse.

Not for ordinary mail (smtplib). Rule: it reads whole replies and never sends a line that it was not given.
"""

import socket
from types import TracebackType
from typing import Self


class Wire:
    """A connection in the clear; a context manager that closes it."""

    def __init__(
        self,
        port: int,
        *,
        source: str = "127.0.0.1",
        before: bytes = b"",
        greeted: bool = True,
        hello: str = "EHLO client.example.net",
    ) -> None:
        """
        Connect to 127.0.0.1:*port*.

        Args:
            source: The address of loopback to come from.
            before: Sent before the greeting (a PROXY header).
            greeted: False leaves the greeting unread.
            hello: Sent after it, the reply kept in `capabilities`; empty sends nothing.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        self._buffer = b""
        self.capabilities: list[str] = []
        self.send(before)
        if greeted:
            self.expect(220)
            if hello:
                self.hello(hello)

    def hello(self, command: str = "EHLO client.example.net") -> None:
        """Say it; what is announced is in `capabilities`."""
        self.capabilities = self.say(command).split("\n")[1:]

    def send(self, octets: bytes) -> None:
        """These and no others."""
        self._socket.sendall(octets)

    def reply(self) -> tuple[int, str]:
        """The next reply: its code, and its lines without codes joined by newlines."""
        texts = []
        while True:
            line = self._line()
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(texts)

    def expect(self, code: int) -> str:
        """The text of the next reply, which must have that code."""
        found, text = self.reply()
        assert code == found, f"{found} {text}"
        return text

    def say(self, command: str, code: int = 250) -> str:
        """Send a command line; the text of its reply, which must have that code."""
        self.send(command.encode() + b"\r\n")
        return self.expect(code)

    def command(self, command: str) -> tuple[int, str]:
        """Send a command line; its reply, whatever it is."""
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def envelope(
        self,
        *forward_paths: str,
        reverse_path: str = "author@example.net",
        parameters: str = "",
        recipient_parameters: str = "",
    ) -> None:
        """MAIL with *parameters*, and RCPT with *recipient_parameters* for each forward-path."""
        self.say(f"MAIL FROM:<{reverse_path}> {parameters}".rstrip())
        for forward_path in forward_paths:
            self.say(f"RCPT TO:<{forward_path}> {recipient_parameters}".rstrip())

    def data(self, content: bytes) -> tuple[int, str]:
        """DATA with *content*, which ends in CRLF, dot-stuffed here; the reply to its end."""
        self.say("DATA", 354)
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        self.send(stuffed + b".\r\n")
        return self.reply()

    def bdat(self, *chunks: bytes) -> tuple[int, str]:
        """BDAT for each of *chunks*, the last one LAST; the reply to that."""
        for chunk in chunks[:-1]:
            self.send(b"BDAT %d\r\n" % len(chunk) + chunk)
            self.expect(250)
        self.send(b"BDAT %d LAST\r\n" % len(chunks[-1]) + chunks[-1])
        return self.reply()

    def is_closed(self) -> bool:
        """Whether the server hung up (waits for it as long as for a reply)."""
        try:
            return not self._buffer and not self._socket.recv(1)
        except ConnectionError:
            return True

    def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        found = bytearray(self._buffer)
        self._buffer = b""
        try:
            while chunk := self._socket.recv(65536):
                found += chunk
        except ConnectionError:
            pass
        return bytes(found)

    def close(self) -> None:
        """Hang up without QUIT."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            chunk = self._socket.recv(65536)
            assert chunk, f"hung up after {self._buffer!r}"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8", "replace")
