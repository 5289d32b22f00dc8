"""
An IMAP client for comparing servers: what it is told becomes values, whichever way they were written.
"""

import socket
import ssl
from typing import Any

Value = Any  # None, int as str, bytes, or a list of them


class Client:
    """A connection that sends a command and reads all that is said to it."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection((host, port), timeout=30)
        self._socket = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        self._file = self._socket.makefile("rb")
        self._count = 0
        self._last = b""
        self._line()

    def close(self) -> None:
        """Without LOGOUT."""
        self._file.close()
        self._socket.close()

    def say(self, command: str | bytes) -> tuple[str, list[list[Value]]]:
        """The status and its text, and each untagged response as values."""
        self._count += 1
        tag = f"t{self._count}".encode()
        octets = command.encode() if isinstance(command, str) else command
        self._last = octets
        self._socket.sendall(tag + b" " + octets + b"\r\n")
        untagged = []
        while True:
            pieces = self._line()
            if pieces[0].startswith(tag + b" "):
                return pieces[0][len(tag) + 1 :].decode(errors="replace"), untagged
            assert pieces[0].startswith(b"* "), pieces
            pieces[0] = pieces[0][2:]
            if not pieces[0].startswith((b"OK", b"NO", b"BAD", b"FLAGS", b"CAPABILITY")):
                untagged.append(values(pieces))

    def _line(self) -> list[bytes]:
        """A line; each literal in it is a piece of its own, at the odd places."""
        pieces = []
        while True:
            line = self._file.readline()
            assert line.endswith(b"\r\n"), (self._last, line)
            line = line[:-2]
            if not line.endswith(b"}") or b"{" not in line:
                return [*pieces, line]
            head, _, octets = line[:-1].rpartition(b"{")
            if not octets.isdigit():
                return [*pieces, line]
            pieces += [head.removesuffix(b"~"), self._file.read(int(octets))]


def values(pieces: list[bytes]) -> list[Value]:
    """Lists, strings as octets, atoms as text, NIL as None."""
    stack: list[list[Value]] = [[]]
    for number, piece in enumerate(pieces):
        if number % 2:
            stack[-1].append(piece)
            continue
        at = 0
        while at < len(piece):
            if piece[at] in b" ":
                at += 1
            elif piece[at] in b"(":
                stack.append([])
                at += 1
            elif piece[at] in b")":
                done = stack.pop()
                stack[-1].append(done)
                at += 1
            elif piece[at] in b'"':
                text, at = quoted(piece, at + 1)
                stack[-1].append(text)
            else:
                text, at = atom(piece, at)
                stack[-1].append(None if text == "NIL" else text)
    assert 1 == len(stack), pieces
    return stack[0]


def quoted(piece: bytes, at: int) -> tuple[bytes, int]:
    """Behind the opening quote, to behind the closing one."""
    found = bytearray()
    while piece[at] not in b'"':
        at += piece[at] in b"\\"
        found.append(piece[at])
        at += 1
    return bytes(found), at + 1


def atom(piece: bytes, at: int) -> tuple[str, int]:
    """To the next space or parenthesis; what stands in brackets belongs to it."""
    begin = at
    depth = 0
    while at < len(piece) and (depth or piece[at] not in b" ()"):
        depth += (piece[at] in b"[") - (piece[at] in b"]")
        at += 1
    return piece[begin:at].decode(errors="replace"), at
