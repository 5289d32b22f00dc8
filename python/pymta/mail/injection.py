"""
Mail that the server itself makes: a DSN, later a list's copy or a vacation answer.

A value that whoever makes it *returns*; it enters through the same door as any other mail, so there is no cycle
(ARCHITECTURE.md, the journey). Nothing here spools.
"""

from dataclasses import dataclass

from pymta._core import Envelope, QueuedMessage

__all__ = ["Injection", "Redistribution"]


@dataclass(frozen=True, slots=True)
class Injection:
    """A message that wants to be spooled."""

    envelope: Envelope
    content: bytes
    """Header section and body, every line ended by CRLF."""
    cause: str
    """Why it exists, for the log: "dsn failed"."""


@dataclass(frozen=True, slots=True)
class Redistribution:
    """A message of the spool that goes on to others: what an alias does with it (RFC 5321 §3.9)."""

    message: QueuedMessage
    envelope: Envelope
    fields: tuple[tuple[str, str], ...]
    """Names and values that are put on top."""
    cause: str
    """Why it exists, for the log: "alias of …"."""
