"""
What a hook is told about the session: who speaks, through which listener, how protected, as whom.

The door (`accept/driver.py`) makes one `Session` a connection and keeps its facts up to date; hooks read it. What a
script may write is said where it stands: `state`, `tags` and `trusted`. It is not the protocol session (that is
`pymta._core.ServerSession`) and decides nothing.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from pymta._core import Address, Envelope
from pymta.directory import Account
from pymta.mail.secret import Secret
from pymta.policy.annotations import DECISIONS_MAX, TAGS_MAX, Decision, TlsFacts, checked_tag

__all__ = ["Credentials", "HasEnvelope", "Listener", "ListenerRole", "MailParameters", "Session"]

ListenerRole = Literal["relay", "submission", "lmtp", "pop3", "imap"]
"""Port 25 style, port 587/465 style, LMTP (RFC 2033), POP3 (RFC 1939), IMAP (RFC 9051)."""


class Listener(msgspec.Struct, frozen=True):
    """The door through which a session came; one value shared by all its sessions."""

    name: str
    """As the configuration calls it."""
    role: ListenerRole = "relay"
    address: str = ""
    """Where it listens, as `127.0.0.1:2525`."""


class Credentials(msgspec.Struct, frozen=True):
    """What a client offers to log in with (RFC 4954)."""

    mechanism: str
    """PLAIN, LOGIN ... in capitals."""
    account: str
    """The authentication identity, as the client wrote it."""
    password: Secret
    authorization: str = ""
    """Who the client wants to act as (SASL authorization identity); empty for the account itself."""


class MailParameters(Protocol):
    """What MAIL FROM declared besides the reverse-path."""

    @property
    def size_octets(self) -> int | None:
        """SIZE= (RFC 1870): a promise, not a measure; None where there was none."""

    @property
    def body(self) -> Literal["7BIT", "8BITMIME", "BINARYMIME"]: ...
    @property
    def smtputf8(self) -> bool: ...


class HasEnvelope(Protocol):
    """Where a session looks up the transaction so far: a `ServerSession`, or a stand-in in a test."""

    @property
    def envelope(self) -> Envelope: ...


class Session:
    """One client connection, from the greeting to the end."""

    __slots__ = (
        "_clock",
        "_decisions",
        "_state",
        "_tags",
        "_transaction",
        "account",
        "hello_name",
        "id",
        "identity",
        "listener",
        "peer_address",
        "peer_port",
        "protocol",
        "tls",
        "trusted",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the session's own word for it, as in the log's `sid`
        peer_address: str,
        peer_port: int,
        listener: Listener,
        clock: Callable[[], int],
        protocol: HasEnvelope,
        trusted: bool = False,
        tls: TlsFacts | None = None,
    ) -> None:
        """
        Args:
            id: Names the session in the log (`sid`).
            peer_address: Who speaks, after PROXY or XCLIENT; IPv4 or IPv6 in text form.
            peer_port: Its port; 0 where it is not known.
            listener: The door it came through.
            clock: Gives the time in milliseconds since 1970 UTC.
            protocol: Knows the transaction so far.
            trusted: The peer is in a trusted network of the configuration.
            tls: What protects the connection, None in the clear. The door sets it again after STARTTLS.
        """
        self.id = id
        self.peer_address = peer_address
        self.peer_port = peer_port
        self.listener = listener
        self.protocol = protocol
        self.trusted = trusted
        """True where the peer may relay anywhere. A hook may set it (in `connect`, say, for its own list of peers)."""
        self.tls = tls
        self.hello_name = ""
        """What HELO, EHLO or LHLO said; empty before. Nothing vouches for it."""
        self.account: str | None = None
        """Who logged in; None for nobody."""
        self.identity: Account | None = None
        """The same as the directory has it; None also for whom only a script or a front vouched."""
        self._clock = clock
        # Made when first used: ten thousand idle sessions shall not pay for them.
        self._state: dict[str, Any] | None = None
        self._tags: dict[str, str] | None = None
        self._decisions: list[Decision] | None = None
        self._transaction: list[Decision] | None = None

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since 1970 UTC. Use it instead of `time.time()`, and a test can turn the clock."""
        return self._clock()

    @property
    def state(self) -> dict[str, Any]:
        """The script's own notes, kept until the session ends. pymta neither reads nor limits them."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def reverse_path(self) -> Address | None:
        """MAIL FROM of the current transaction; None for the null reverse-path, and outside a transaction."""
        return self.protocol.envelope.reverse_path

    @property
    def envelope(self) -> Envelope:
        """The current transaction so far: reverse-path, recipients accepted, parameters."""
        return self.protocol.envelope

    @property
    def tags(self) -> dict[str, str]:
        """A copy of what `tag` noted."""
        return dict(self._tags) if self._tags else {}

    def tag(self, **tags: str) -> None:
        """
        Note something for every message of this session; outbound hooks and the log get it as `message.tags`.

        Raises:
            ValueError: more than 32 tags, or a name or value that is too long.
        """
        noted = {**(self._tags or {}), **{name: checked_tag(name, value) for name, value in tags.items()}}
        if len(noted) > TAGS_MAX:
            raise ValueError(f"more than {TAGS_MAX} tags")
        self._tags = noted

    # ---- for the pipeline and the door -------------------------------------------------------------------------

    def begin_transaction(self) -> None:
        """Forget what was decided in an earlier transaction. The door calls it at every MAIL."""
        self._transaction = None

    def note(self, decision: Decision) -> None:
        """Remember a decision for "why?": for the session until MAIL, then for the transaction."""
        if decision.stage in ("mail", "rcpt", "message"):
            if self._transaction is None:
                self._transaction = []
            kept = self._transaction
        else:
            if self._decisions is None:
                self._decisions = []
            kept = self._decisions
        if len(kept) < DECISIONS_MAX:
            kept.append(decision)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What has been decided about this session and its current transaction, oldest first."""
        if self._decisions is None and self._transaction is None:
            return ()
        return (*(self._decisions or ()), *(self._transaction or ()))

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.peer_address} at {self.listener.name}>"
