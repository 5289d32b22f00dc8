"""
The message as hooks see it: on its way in (`Message`, which may be edited) and on its way out (`QueuedMail`).

Wrappers with words and types for people; the octets stay in Rust, and nothing is parsed that nobody asked for. An
edit is remembered as a decision, so that `pymta queue show` can say who changed what.
"""

import sys
from collections.abc import Sequence
from email.header import decode_header

from pymta._core import Address, Envelope, IncomingMessage, Part, QueuedMessage, Recipient
from pymta.mail.verdict import RouteChoice
from pymta.policy.annotations import (
    DECISIONS_MAX,
    TAGS_MAX,
    Annotations,
    Decision,
    checked_tag,
    decode,
    shortened,
)

__all__ = ["Message", "QueuedMail"]

RECIPIENTS_MAX = 50_000
"""Recipients that a script may make of one message; the limit of a bug, not of a list."""


class Message:
    """A message that has arrived and is not yet answered for. Only its header section and envelope can be changed."""

    __slots__ = ("_content", "decisions", "route", "tags")

    def __init__(self, content: IncomingMessage) -> None:
        self._content = content
        self.tags: dict[str, str] = {}
        """What `tag` noted; read it, do not change it."""
        self.route: RouteChoice | None = None
        """What `set_route` chose."""
        self.decisions: list[Decision] = []

    # ---- the envelope ------------------------------------------------------------------------------------------

    @property
    def envelope(self) -> Envelope:
        """Reverse-path, recipients and parameters as they are now."""
        return self._content.envelope

    @property
    def reverse_path(self) -> Address | None:
        """MAIL FROM; None is the null reverse-path. Never reply automatically to that (RFC 5321 §4.5.5)."""
        return self._content.envelope.reverse_path

    @property
    def recipients(self) -> list[Recipient]:
        """The recipients as they are now."""
        return self._content.envelope.recipients

    @property
    def forward_paths(self) -> list[Address]:
        """The recipients' addresses as they are now."""
        return [recipient.forward_path for recipient in self._content.envelope.recipients]

    def add_recipient(self, forward_path: Address | Recipient | str) -> None:
        """
        Deliver to one more address. One that is there already is not added again.

        Raises:
            ValueError: it is no address, or the message has too many recipients.
        """
        added = forward_path if isinstance(forward_path, Recipient) else Recipient(forward_path)
        recipients = self._content.envelope.recipients
        if any(added.forward_path.canonical == r.forward_path.canonical for r in recipients):
            return
        if len(recipients) >= RECIPIENTS_MAX:
            raise ValueError(f"more than {RECIPIENTS_MAX} recipients")
        self._content.envelope = self._content.envelope.with_recipients([*recipients, added])
        self._edited(f"added recipient {added.forward_path}")

    def remove_recipient(self, forward_path: Address | Recipient | str) -> bool:
        """
        Do not deliver to an address; False where it is no recipient. Without any recipient left the message is
        accepted and discarded.

        Raises:
            ValueError: it is no address.
        """
        address = forward_path.forward_path if isinstance(forward_path, Recipient) else forward_path
        wanted = (Address(address) if isinstance(address, str) else address).canonical
        recipients = self._content.envelope.recipients
        kept = [r for r in recipients if r.forward_path.canonical != wanted]
        if len(kept) == len(recipients):
            return False
        self._content.envelope = self._content.envelope.with_recipients(kept)
        self._edited(f"removed recipient {wanted}")
        return True

    def set_recipients(self, recipients: Sequence[Address | Recipient | str]) -> None:
        """
        Replace all recipients at once, which is quicker than one by one. Give a `Recipient` of `recipients` again to
        keep its DSN parameters.

        Raises:
            ValueError: one of them is no address, or there are too many.
        """
        if len(recipients) > RECIPIENTS_MAX:
            raise ValueError(f"more than {RECIPIENTS_MAX} recipients")
        self._content.envelope = self._content.envelope.with_recipients(recipients)
        self._edited(f"set {len(recipients)} recipients")

    def set_reverse_path(self, reverse_path: Address | str | None) -> None:
        """Change where DSNs go; None makes it the null reverse-path. ValueError where it is no address."""
        self._content.envelope = self._content.envelope.with_reverse_path(reverse_path)
        self._edited(f"set reverse-path <{reverse_path or ''}>")

    # ---- the header section ------------------------------------------------------------------------------------

    def field(self, name: str) -> str | None:
        """
        The first header field of that name, unfolded, or None. Names compare without case.

        Octets that are not UTF-8 come as U+FFFD; encoded words (RFC 2047) as they are, see `decoded_field`.
        """
        value = self._content.field(name)
        return None if value is None else value.decode("utf-8", "replace")

    def fields(self, name: str) -> list[str]:
        """All header fields of that name, in order."""
        return [value.decode("utf-8", "replace") for value in self._content.fields(name)]

    def decoded_field(self, name: str) -> str | None:
        """The first header field of that name with its encoded words decoded (RFC 2047), for looking at only."""
        value = self.field(name)
        if value is None or "=?" not in value:
            return value
        try:
            pieces = decode_header(value)
        except ValueError:
            return value
        return "".join(
            piece if isinstance(piece, str) else _text(piece, charset or "ascii") for piece, charset in pieces
        )

    @property
    def header_fields(self) -> list[tuple[str, str]]:
        """All header fields as (name, unfolded value), in order."""
        return [
            (name.decode("ascii", "replace"), value.decode("utf-8", "replace"))
            for name, value in self._content.header_fields()
        ]

    @property
    def header_section(self) -> bytes:
        """The octets of all header fields as they are now, each line ended by CRLF."""
        return self._content.header_section()

    @property
    def received_hops(self) -> int:
        """How many Received fields there are: the hosts it came through."""
        return self._content.received_hops

    def add_field(self, name: str, value: str) -> None:
        """Add a header field at the end of the header section. ValueError where it would break the section."""
        self._content.add_field(name, value)
        self._edited(f"added field {name}")

    def prepend_field(self, name: str, value: str) -> None:
        """Put a header field on top, where trace fields are. ValueError where it would break the section."""
        self._content.prepend_field(name, value)
        self._edited(f"prepended field {name}")

    def replace_field(self, name: str, value: str) -> int:
        """
        Give the first field of that name a new value and remove the others; add one where there was none. Returns how
        many there were.

        Raises:
            ValueError: name or value would break the header section.
        """
        found = self._content.replace_field(name, value)
        if not found:
            self._content.add_field(name, value)
        self._edited(f"replaced field {name}")
        return found

    def remove_field(self, name: str) -> int:
        """Remove all fields of that name; returns how many there were."""
        found = self._content.remove_field(name)
        if found:
            self._edited(f"removed field {name}")
        return found

    # ---- the content -------------------------------------------------------------------------------------------

    @property
    def size_octets(self) -> int:
        """How large the message is, header section included."""
        return self._content.size_octets

    @property
    def parts(self) -> list[Part]:
        """The MIME parts in order, containers included; found when first asked for."""
        return self._content.parts()

    def part_content(self, part: Part, octets_max: int) -> bytes:
        """A part's content, its transfer encoding removed, at most *octets_max* of it."""
        return self._content.part_content(part, octets_max)

    def content(self, octets_max: int) -> bytes:
        """The message's octets from its start, at most *octets_max*. A large message is read from disk."""
        return self._content.content(octets_max)

    # ---- what goes along with it -------------------------------------------------------------------------------

    def set_route(self, route: RouteChoice | None) -> None:
        """Choose the way out now. The `route` hook, where there is one, is asked later and has the last word."""
        if route is not None and not isinstance(route, RouteChoice):
            raise TypeError(f"set_route() wants a RouteChoice, got {type(route).__name__}")
        self.route = route

    def tag(self, **tags: str) -> None:
        """
        Note something with the message; outbound hooks and the log get it.

        Raises:
            ValueError: more than 32 tags, or a name or value that is too long (64 and 256 octets).
        """
        noted = {**self.tags, **{name: checked_tag(name, value) for name, value in tags.items()}}
        if len(noted) > TAGS_MAX:
            raise ValueError(f"more than {TAGS_MAX} tags")
        self.tags = noted

    def _edited(self, what: str) -> None:
        if len(self.decisions) < DECISIONS_MAX:
            frame = sys._getframe(2)
            where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
            self.decisions.append(Decision("message", "message", "edit", shortened(what), where))

    def __repr__(self) -> str:
        return f"<Message from <{self.reverse_path or ''}>, {self.size_octets} octets>"


class QueuedMail:
    """A message on its way out, as the `route` hook sees it. It cannot be changed any more."""

    __slots__ = ("_annotations", "_message")

    def __init__(self, message: QueuedMessage) -> None:
        self._message = message
        self._annotations: Annotations | None = None

    @property
    def spool_id(self) -> str:
        """Its name in the spool and in the log."""
        return self._message.id

    @property
    def envelope(self) -> Envelope:
        """Reverse-path, all recipients and parameters."""
        return self._message.envelope

    @property
    def reverse_path(self) -> Address | None:
        """Where DSNs go; None is the null reverse-path."""
        return self._message.envelope.reverse_path

    def forward_paths(self, domain: str) -> list[Address]:
        """The recipients of that (canonical) domain that still have to be tried."""
        envelope = self._message.envelope
        indexes = dict(self._message.by_domain()).get(domain, [])
        return [envelope.recipient(index).forward_path for index in indexes]

    @property
    def size_octets(self) -> int:
        """How large the message is."""
        return self._message.size_octets

    @property
    def spooled_at_ms(self) -> int:
        """When it was accepted, in milliseconds since 1970 UTC."""
        return self._message.spooled_at_ms

    @property
    def attempts(self) -> int:
        """Rounds of delivery so far; 0 for the first."""
        return self._message.attempts

    @property
    def header_section(self) -> bytes:
        """The octets of its header section."""
        return self._message.header_section()

    @property
    def annotations(self) -> Annotations:
        """
        Tags, peer, listener, account, TLS facts and the route that were noted when it was accepted.

        Raises:
            ValueError: they cannot be read (`annotations.decode`).
        """
        if self._annotations is None:
            self._annotations = decode(self._message.annotations)
        return self._annotations

    @property
    def tags(self) -> dict[str, str]:
        """What the session's and the message's `tag` noted."""
        return self.annotations.tags

    @property
    def route(self) -> RouteChoice | None:
        """What `set_route` chose when the message was accepted. ValueError as for `annotations`."""
        return self.annotations.route

    @property
    def account(self) -> str | None:
        """Who was logged in when it was accepted."""
        return self.annotations.account

    @property
    def listener(self) -> str:
        """The name of the listener that accepted it; empty for the server's own mail."""
        return self.annotations.listener

    @property
    def peer(self) -> str:
        """The address of the client that handed it in; empty for the server's own mail."""
        return self.annotations.peer

    def __repr__(self) -> str:
        return f"<QueuedMail {self.spool_id}>"


def _text(octets: bytes, charset: str) -> str:
    try:
        return octets.decode(charset, "replace")
    except LookupError:
        return octets.decode("ascii", "replace")
