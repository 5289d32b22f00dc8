"""
The vocabulary of the log: a closed set of verbs, each a struct whose fields are the keys of its line.

The same key has the same meaning in each of them, and its unit in its name. `sid` is the session, `spool_id` the
message: given either, grep tells the whole story. There is one line for each thing that happened, and no other line.
Durations are seconds, rounded to a millisecond or finer by whoever measured them.

Never in an event: content, credentials, text that was put together from values (what varies has a key of its own).
How a line is written is `line.py`, where to is `writer.py`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

__all__ = [
    "EVENTS",
    "Accept",
    "Admin",
    "Attempt",
    "Auth",
    "Connect",
    "Done",
    "Event",
    "Refuse",
    "Report",
    "Trouble",
    "Verb",
    "in_us",
]

Verb = Literal["connect", "auth", "refuse", "accept", "attempt", "done", "report", "admin", "trouble"]


class Connect(msgspec.Struct, tag="connect", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """
    A session is over: the one line that tells all of it. The only line of a session in which nothing happened.
    """

    sid: str
    """The session."""
    listener: str
    peer: str
    """Address and port of the client; behind a proxy, of the client that it spoke for."""
    hello: str = ""
    """What the client called itself."""
    tls: str = ""
    """Version and cipher, such as "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty in the clear."""
    account: str = ""
    """Who logged in."""
    accepted: int = 0
    """Messages that got their 250."""
    refused: int = 0
    """Commands and messages that policy or a limit refused."""
    retrieved: int = 0
    """Messages that a reader fetched whole."""
    deleted: int = 0
    """Messages that a reader removed."""
    appended: int = 0
    """Times that a reader put messages into a mailbox."""
    sent_octets: int = 0
    """What a reader was told of mailboxes."""
    violations: int = 0
    """Breaches of grammar and order."""
    commands: int = 0
    end: Literal["quit", "closed", "timed_out", "violations", "refused", "tls_failed", "stopping", "trouble"]
    """Why it ended: QUIT, the client went away, ...; "trouble" is ours."""
    took_s: float

    problem_values: ClassVar[frozenset[str]] = frozenset(
        {"timed_out", "violations", "refused", "tls_failed", "trouble"}
    )

    @property
    def is_problem(self) -> bool:
        return self.end in self.problem_values or self.refused > 0 or self.violations > 0


class Auth(msgspec.Struct, tag="auth", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """Somebody logged in, or tried to."""

    sid: str
    peer: str
    mechanism: str
    account: str = ""
    outcome: Literal["ok", "failed", "cancelled", "banned"]
    cause: str = ""
    """Why it failed; for the operator only."""

    @property
    def is_problem(self) -> bool:
        return self.outcome != "ok"


class Refuse(msgspec.Struct, tag="refuse", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """A command or a message was refused or put off, by policy, by a limit or for want of room."""

    sid: str
    peer: str
    stage: Literal["connect", "hello", "starttls", "auth", "mail", "rcpt", "data", "message"]
    reply: str
    """What the client was told."""
    cause: str
    """What the operator is told: the rule, the hook, the limit."""
    reverse_path: str = ""
    forward_path: str = ""

    @property
    def is_problem(self) -> bool:
        return True


class Accept(msgspec.Struct, tag="accept", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """A message is durable and got its 250: from here on it cannot be lost (but see *discarded*)."""

    sid: str = ""
    """Empty for mail that the server itself made."""
    spool_id: str
    peer: str = ""
    reverse_path: str
    """Empty is the null one."""
    recipients: int
    forward_path: str = ""
    """The first one."""
    size_octets: int
    took_s: float
    """From the end of the content to the 250: policy, disk."""
    held: bool = False
    """It waits for an operator."""
    discarded: str = ""
    """It got its 250 and was thrown away, which is policy's doing: why. It has no spool id then."""

    @property
    def is_problem(self) -> bool:
        return self.held or bool(self.discarded)


class Attempt(msgspec.Struct, tag="attempt", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """One try for one recipient, and what the next hop said."""

    spool_id: str
    forward_path: str
    transport: str
    """smtp, lmtp, discard."""
    next_hop: str = ""
    """Host, address and port; empty where none could be tried."""
    site: str = ""
    tls: str = ""
    """Version and cipher; empty in the clear."""
    outcome: Literal["delivered", "deferred", "failed", "expired"]
    reply: str
    attempt: int
    """1 is the first."""
    took_s: float
    """This try."""
    age_s: float
    """Since the message became durable."""

    @property
    def is_problem(self) -> bool:
        return self.outcome != "delivered"


class Done(msgspec.Struct, tag="done", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """A message left the queue: none of its recipients is pending any more."""

    spool_id: str
    delivered: int = 0
    failed: int = 0
    expired: int = 0
    dropped: int = 0
    age_s: float
    """Since it became durable."""

    @property
    def is_problem(self) -> bool:
        return bool(self.failed or self.expired or self.dropped)


class Report(msgspec.Struct, tag="report", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """The server made mail about mail: a DSN, or the answer of an account that is away."""

    spool_id: str
    """Of the report."""
    about: str
    """The spool id of the message that it is about."""
    action: Literal["failed", "delayed", "delivered", "relayed", "expanded", "vacation"]
    forward_path: str
    """Whom it goes to: the reverse-path of the message that it is about."""
    recipients: int = 1
    """How many of that message's recipients it is about."""

    @property
    def is_problem(self) -> bool:
        return self.action in ("failed", "delayed")


class Admin(msgspec.Struct, tag="admin", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """The server was told something, or did something that an operator wants to see: start, reload, drop, stop."""

    action: str
    """A word: start, ready, stop, reload, hold, release, retry, drop, suspend, ..."""
    detail: str = ""
    spool_id: str = ""
    count: int = 0
    by: str = ""
    """Who: "signal", "control" and the user's number."""

    @property
    def is_problem(self) -> bool:
        return True


class Trouble(msgspec.Struct, tag="trouble", tag_field="verb", kw_only=True, omit_defaults=True, gc=False):
    """Something of ours went wrong. A peer that misbehaves is none."""

    what: str
    """What could not be done, in fixed words, such as "hook raised"."""
    error: str = ""
    """The exception, its class first."""
    where: str = ""
    """File and line, or the name of the task or the hook."""
    traceback: str = ""
    sid: str = ""
    spool_id: str = ""
    count: int = 0

    @property
    def is_problem(self) -> bool:
        return True


Event = Connect | Auth | Refuse | Accept | Attempt | Done | Report | Admin | Trouble

EVENTS: tuple[type[Event], ...] = (Connect, Auth, Refuse, Accept, Attempt, Done, Report, Admin, Trouble)


def in_us(duration_s: float) -> float:
    """*duration_s* to the microsecond. `round` gets there by way of text, which takes 2,500 instructions, not 500."""
    return int(duration_s * 1_000_000) / 1_000_000
