"""
What is in the messages: a real header section, and lines that look like any, those with dots among them.

Each message has its own Message-ID and starts at another line of the same text, so that no two are equal and none costs
more than copying it. Rule: content has CRLF lines only and is exactly as large as asked, unless that is less than a
header section.
"""

import secrets
import time
from email.utils import formatdate
from itertools import accumulate
from random import Random
from typing import Final

__all__ = ["ContentMaker"]

_TEXT_OCTETS: Final = 256 * 1024
_LINE_OCTETS_MAX: Final = 76
_LETTERS: Final = "etaoinshrdlucmfwypvbgkqjxz"
_WORDS: Final = 2000
# What a server, a relay or a sink may get wrong about lines (RFC 5321 §4.5.2); each is a whole line.
_DOT_LINES: Final = (
    ".",
    "..",
    "...",
    ".leading dot",
    ". ",
    "..two leading dots",
    "",
    "From the start",
    "trailing blank ",
)
_DOT_LINE_SHARE: Final = 0.06


class ContentMaker:
    """Makes contents of one run."""

    __slots__ = ("_date", "_date_s", "_domain", "_random", "_run", "_starts", "_text")

    def __init__(self, domain: str, random: Random) -> None:
        self._random = random
        self._domain = domain.strip("[]").encode()
        # Two runs with the same seed still have different Message-IDs, or the second would look like duplicates.
        self._run = secrets.token_hex(5).encode()
        lines = _lines(random)
        self._text = "".join(lines).encode("ascii")
        self._starts = [0, *accumulate(len(line) for line in lines)][:-1]
        self._date_s = -1
        self._date = b""

    def make(self, number: int, reverse_path: str, forward_path: str, octets: int) -> bytes:
        """The content of message *number*; longer than *octets* only where the header section alone is."""
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s, self._date = now_s, formatdate(now_s, localtime=True).encode()
        head = (
            f"From: <{reverse_path or f'load@{self._domain.decode()}'}>\r\nTo: <{forward_path}>\r\nSubject: load {number}\r\n"
        ).encode()
        head = (
            b"%bDate: %b\r\nMessage-ID: <%b.%d@%b>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
            % (
                head,
                self._date,
                self._run,
                number,
                self._domain,
            )
        )
        room = octets - len(head)
        if room < 2:
            return head
        return b"".join((head, *self._body(room)))

    def _body(self, octets: int) -> tuple[bytes, ...]:
        text, starts = self._text, self._starts
        start = starts[int(self._random.random() * len(starts))]
        wanted = octets - 2
        piece = text[start : start + wanted]
        pieces = [piece]
        wanted -= len(piece)
        while wanted > 0:
            piece = text[:wanted]
            pieces.append(piece)
            wanted -= len(piece)
        # A cut between CR and LF must not leave a bare CR.
        if piece.endswith(b"\r"):
            pieces[-1] = piece[:-1] + b"x"
        return (*pieces, b"\r\n")


def _lines(random: Random) -> list[str]:
    words = ["".join(random.choices(_LETTERS, k=random.randint(1, 9))) for _ in range(_WORDS)]
    lines: list[str] = []
    octets = 0
    while octets < _TEXT_OCTETS:
        if random.random() < _DOT_LINE_SHARE:
            line = random.choice(_DOT_LINES)
        else:
            line = " ".join(random.choices(words, k=random.randint(1, 14)))[:_LINE_OCTETS_MAX]
        lines.append(line + "\r\n")
        octets += len(line) + 2
    return lines
