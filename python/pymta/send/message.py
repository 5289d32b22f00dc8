"""
From lines on standard input to a whole message: CRLF, header fields apart, what is missing added.

Not a check of what the author wrote: fields that are there stay as they are, octet for octet. Rule: what we add holds no
control character, whatever an option or the system's account says, so that nothing can add a field through it.
"""

import re
import secrets
from collections.abc import Iterable
from email.utils import formataddr, formatdate
from typing import BinaryIO, Final

from pymta.send.address_list import parse_address_list

__all__ = ["Message", "MessageError", "read_content"]

MESSAGE_OCTETS_MAX: Final = 256 * 1024 * 1024
_READ_OCTETS: Final = 65_536

# RFC 5322 §3.6.8; white space before the colon is the obsolete form (§4.5).
_FIELD_NAME: Final = re.compile(rb"([!-9;-~]+)[ \t]*:")
_RECIPIENT_FIELDS: Final = ("to", "cc", "bcc")
# Seen by the author's own server only. Return-Path is the last server's to add.
_DROPPED: Final = frozenset({"bcc", "resent-bcc", "return-path"})


class MessageError(Exception):
    """The message cannot be sent as it is; one line that says why."""


def read_content(stream: BinaryIO, *, dot_ends: bool) -> bytes:
    """
    The message on *stream*, with CRLF lines.

    A line may end in LF, CRLF or CR (a progress bar in cron's mail): all are CRLF from here on, because no other may be
    sent (RFC 5321 §2.3.8).

    Args:
        stream: Standard input.
        dot_ends: Whether a line that is one dot ends the message, as it does for sendmail without `-i`.

    Raises:
        MessageError: It is too large.
    """
    pieces: list[bytes] = []
    octets = 0
    while chunk := stream.readline(_READ_OCTETS) if dot_ends else stream.read(_READ_OCTETS):
        if dot_ends and chunk in (b".\n", b".\r\n", b".") and (not pieces or pieces[-1].endswith(b"\n")):
            break
        octets += len(chunk)
        if octets > MESSAGE_OCTETS_MAX:
            raise MessageError(f"the message is larger than {MESSAGE_OCTETS_MAX} octets")
        pieces.append(chunk)
    content = b"".join(pieces).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content.replace(b"\n", b"\r\n")


class Message:
    """
    A message in parts: its header fields, each with its folded lines, and its body.

    Args:
        content: With CRLF lines. Where it does not begin with a header field all of it is body.
    """

    __slots__ = ("_fields", "body")

    def __init__(self, content: bytes) -> None:
        self._fields: list[tuple[str, bytes]] = []
        at = 0
        # "From author date" is an mbox file's separator, which some programs leave on top.
        if content.startswith(b"From "):
            at = content.index(b"\r\n") + 2
        while at < len(content):
            end = content.index(b"\r\n", at) + 2
            line = content[at:end]
            if line == b"\r\n":
                at = end
                break
            name = _FIELD_NAME.match(line)
            if name is not None:
                self._fields.append((name[1].decode("ascii").lower(), line))
            elif line[:1] in b" \t" and self._fields:
                last, before = self._fields[-1]
                self._fields[-1] = (last, before + line)
            else:
                break  # no field: the body begins without an empty line
            at = end
        self.body = content[at:]

    def values(self, name: str) -> list[bytes]:
        """The fields of that name, unfolded, without the name."""
        return [
            line.partition(b":")[2].replace(b"\r\n", b"").strip()
            for field, line in self._fields
            if field == name
        ]

    def recipients(self) -> list[str]:
        """
        Whom To, Cc and Bcc name; where there are Resent- fields of these, those only (RFC 5322 §3.6.6).

        Raises:
            MessageError: A field cannot be read.
        """
        names = [f"resent-{name}" for name in _RECIPIENT_FIELDS]
        if not any(self.values(name) for name in names):
            names = list(_RECIPIENT_FIELDS)
        found: list[str] = []
        for name in names:
            for value in self.values(name):
                try:
                    found += parse_address_list(value.decode("utf-8"))
                except ValueError as error:
                    what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
                    raise MessageError(f"the {name.title()} field cannot be read: {what}") from None
        return found

    def complete(self, *, author: str, name: str, hostname: str, now_s: float) -> None:
        """
        Add Date, Message-ID and From where they are missing; leave out Bcc and Return-Path.

        Args:
            author: Address for From.
            name: The author's name, or empty.
            hostname: For the Message-ID.
            now_s: The time, in seconds since 1970.

        Raises:
            MessageError: *name* or *author* holds a control character.
        """
        self._fields = [(field, line) for field, line in self._fields if field not in _DROPPED]
        present = {field for field, _ in self._fields}
        if "from" not in present:
            _look_at(name, "the author's name")
            _look_at(author, "the author's address")
            # Not formataddr for the address: it takes ASCII only.
            shown = formataddr((name, "a@b.test"), "utf-8").removesuffix("<a@b.test>") if name else ""
            self._fields.append(("from", f"From: {shown}<{author}>\r\n".encode()))
        if "date" not in present:
            self._fields.append(("date", f"Date: {formatdate(now_s, localtime=True)}\r\n".encode()))
        if "message-id" not in present:
            made = f"Message-ID: <{int(now_s * 1000):x}.{secrets.token_hex(8)}@{hostname}>\r\n"
            self._fields.append(("message-id", made.encode()))

    def content(self) -> bytes:
        """All of it, with CRLF lines."""
        lines: Iterable[bytes] = (line for _, line in self._fields)
        return b"".join((*lines, b"\r\n", self.body))

    @property
    def message_id(self) -> bytes:
        """As written, with its brackets; empty where there is none."""
        return next(iter(self.values("message-id")), b"")


def _look_at(text: str, what: str) -> None:
    if any(not character.isprintable() for character in text):
        raise MessageError(f"{what} holds a control character")
