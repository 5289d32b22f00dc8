"""
What the spool keeps about a message besides its envelope: tags, the chosen route, and why it was let in.

`IncomingMessage.commit` takes it as octets, `QueuedMessage.annotations` gives it back; Rust never looks inside. The
format is MessagePack with field names, defaults left out and unknown names ignored, so that an older or newer pymta
can read it. Nothing at all is written as no octets.
"""

from typing import TypeVar

import msgspec

from pymta.mail.verdict import RouteChoice

__all__ = [
    "DECISIONS_MAX",
    "TAGS_MAX",
    "Annotations",
    "Decision",
    "TlsFacts",
    "checked_tag",
    "decode",
    "encode",
    "tags_of",
]

TAGS_MAX = 32
TAG_NAME_OCTETS_MAX = 64
TAG_VALUE_OCTETS_MAX = 256
# Per session and per transaction. A refused recipient is a decision; a dictionary attack shall not fill the memory.
DECISIONS_MAX = 64
REASON_OCTETS_MAX = 256


class TlsFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What protects a connection."""

    version: str
    """As `TLSv1.3`."""
    cipher: str
    client_subject: str | None = None
    """The verified client certificate's subject, as `CN=client.example.net`; None where there was none."""


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One verdict or edit, so that "why did you do that?" has an answer."""

    stage: str
    """connect, hello, starttls, auth, mail, rcpt, message or route."""
    hook: str
    """The hook's name, or the built-in check's."""
    verdict: str
    """accept, refuse, defer, discard, hold, or edit."""
    reason: str = ""
    """The script's own words; for an edit, what was changed."""
    where: str = ""
    """The line of the script, as `policy.py:12`."""
    reply: str = ""
    """What the client was told, where it was."""
    about: str = ""
    """The forward-path, where the decision was about one."""


class Annotations(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All of it. Every field has a default, because a message that the server makes itself has none of them."""

    tags: dict[str, str] = {}
    route: RouteChoice | None = None
    decisions: tuple[Decision, ...] = ()
    peer: str = ""
    """The client's address."""
    listener: str = ""
    """The name of the listener."""
    account: str | None = None
    """Who was logged in."""
    tls: TlsFacts | None = None
    sid: str = ""
    """The session it came in, as in the log."""


EMPTY = Annotations()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Annotations)
_T = TypeVar("_T")


def encode(annotations: Annotations) -> bytes:
    """The octets for `IncomingMessage.commit`; none where there is nothing to say."""
    if annotations == EMPTY:
        return b""
    return _encoder.encode(annotations)


def decode(octets: bytes) -> Annotations:
    """
    The annotations of a queued message.

    Raises:
        ValueError: the octets are no annotations. They were checksummed, so a later pymta wrote them; the message is
            not to leave without its route and TLS requirement, hence no quiet default.
    """
    if not octets:
        return EMPTY
    try:
        return _decoder.decode(octets)
    except msgspec.MsgspecError as error:
        raise ValueError(f"unreadable annotations: {error}") from error


def tags_of(octets: bytes) -> dict[str, str]:
    """The tags alone, for those who only look on: none where the annotations cannot be read."""
    if not octets:
        return {}
    try:
        return decode(octets).tags
    except ValueError:
        return {}


def checked_tag(name: str, value: object) -> str:
    """The value of a tag as text; ValueError where name or value is longer than is kept."""
    text = value if isinstance(value, str) else str(value)
    if len(name.encode()) > TAG_NAME_OCTETS_MAX:
        raise ValueError(f"the name of a tag is at most {TAG_NAME_OCTETS_MAX} octets long: {name[:80]!r}")
    if len(text.encode()) > TAG_VALUE_OCTETS_MAX:
        raise ValueError(f"tag {name}: the value is at most {TAG_VALUE_OCTETS_MAX} octets long")
    return text


def shortened(text: str) -> str:
    """A reason as it is kept: one line, cut to its limit."""
    line = " ".join(text.split())
    return line if len(line) <= REASON_OCTETS_MAX else f"{line[: REASON_OCTETS_MAX - 1]}…"
