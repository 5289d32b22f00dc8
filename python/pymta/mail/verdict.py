"""
What policy answers: a `Verdict` about a session or a message, a `RouteChoice` about the way out.

Values and their constructors only. Which verdict is possible at which stage is `policy/pipeline.py`'s affair; what
the server does with one is the door's.
"""

import ipaddress
import re
import sys
from functools import lru_cache
from typing import Literal, final

import msgspec

from pymta._core import Reply
from pymta.mail.route import TlsMode

__all__ = [
    "Action",
    "RouteChoice",
    "Verdict",
    "accept",
    "defer",
    "discard",
    "hold",
    "refuse",
    "reply_of_text",
]

Action = Literal["accept", "refuse", "defer", "discard", "hold"]
"""`discard` and `hold` tell the client 250: the first forgets the message, the second keeps it until released."""

# A text that begins like a reply is a whole reply: "550 5.1.1 no such user".
_WHOLE_REPLY = re.compile(r"([2-5]\d\d)(?: (\d\.\d{1,3}\.\d{1,3}))?(?: (.*))?", re.DOTALL)


@final  # so that `type(answer) is Verdict`, which is quicker than isinstance, tells a type checker as much
class Verdict(msgspec.Struct, frozen=True):
    """
    An answer to "may I?", made by `accept`, `refuse`, `defer`, `discard` or `hold`.

    The *reply* is what the client is told; the *reason* is for the operator (log, `pymta queue show`) and never sent.
    """

    action: Action
    reply: Reply | None = None
    """Set for refuse and defer, and only for them."""
    reason: str = ""
    where: str = ""
    """The line that made the verdict, as `policy.py:12`; empty for accept without a reason."""


_ACCEPT = Verdict("accept")


def accept(*, reason: str = "") -> Verdict:
    """Go on. A hook that returns None says the same, except `auth`, where only this lets somebody in."""
    if not reason:
        return _ACCEPT
    return Verdict("accept", None, reason, _caller())


def refuse(reply: Reply | str = "refused by policy", *, reason: str = "") -> Verdict:
    """
    Say no for good.

    Args:
        reply: What the client is told: text ("no such customer", sent with 550 5.7.1), text that begins with a reply
            code ("552 5.3.4 too large for you"), or a `Reply`.
        reason: For the log only.

    Raises:
        ValueError: the reply's code is not 5yz, or contradicts its enhanced status.
    """
    return Verdict("refuse", _reply_of(reply, 5, 550, "5.7.1"), reason, _caller())


def defer(reply: Reply | str = "try again later", *, reason: str = "") -> Verdict:
    """
    Say "not now": the client keeps the message and comes back. Arguments as for `refuse`, with 451 4.7.1.

    A 421 also ends the session (RFC 5321 §3.8).

    Raises:
        ValueError: the reply's code is not 4yz, or contradicts its enhanced status.
    """
    return Verdict("defer", _reply_of(reply, 4, 451, "4.7.1"), reason, _caller())


def discard(*, reason: str = "") -> Verdict:
    """
    Tell the client that the message was accepted, and forget it. Only `message` may answer this.

    RFC 5321 §6.2 allows it for hostile content only: nobody is told that the message is gone.
    """
    return Verdict("discard", None, reason, _caller())


def hold(*, reason: str = "") -> Verdict:
    """Accept the message and keep it in the spool until `pymta queue release`. Only `message` may answer this."""
    return Verdict("hold", None, reason, _caller())


@final
class RouteChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What policy wants of the way out. What is None is decided by the configured routes and the DNS.

    Raises:
        ValueError: an argument is not what its description says.
    """

    next_hop: str | tuple[str, ...] | None = None
    """
    The host to connect to, or several, tried in this order; written as in the configuration: `relay.example.net`,
    `relay.example.net:2525`, `192.0.2.1:25`, `[2001:db8::1]:25`. A name is looked up for its addresses, not for MX.
    """
    transport: Literal["smtp", "lmtp", "discard"] | None = None
    source: str | None = None
    """The egress address to connect from, IPv4 or IPv6 in text form."""
    tls: TlsMode | None = None
    """The least that is asked of the next hop; its value in text form will do ("required")."""

    def __post_init__(self) -> None:
        next_hop: object = self.next_hop  # a script is not type-checked: what it gives is looked at
        if isinstance(next_hop, list):
            msgspec.structs.force_setattr(self, "next_hop", tuple(next_hop))
        for hop in self.next_hops:
            check_next_hop(hop)
        if self.transport not in (None, "smtp", "lmtp", "discard"):
            raise ValueError(f"transport is smtp, lmtp or discard, not {self.transport!r}")
        if self.source is not None:
            ipaddress.ip_address(self.source)
        if self.tls is not None:
            msgspec.structs.force_setattr(self, "tls", TlsMode(self.tls))

    @property
    def next_hops(self) -> tuple[str, ...]:
        """The next hops as a tuple, empty where none is chosen."""
        if self.next_hop is None:
            return ()
        return (self.next_hop,) if isinstance(self.next_hop, str) else self.next_hop


# Host and port of a next hop. What a name may hold is checked where it is looked up; here only what would be read as
# something else than was meant is kept out (an IPv6 address without brackets, a list in one string, an address).
_NEXT_HOP = re.compile(r"(?:\[[A-Za-z0-9.:_-]+\]|[^\s\[\]:@<>/,]+)(?::(?P<port>\d{1,5}))?", re.ASCII)


def check_next_hop(text: object) -> None:
    """ValueError where *text* is not `host`, `host:port` or `[address]:port`."""
    if not isinstance(text, str) or not (match := _NEXT_HOP.fullmatch(text)):
        raise ValueError(f"expected a next hop such as host, host:port or [address]:port, got {text!r}")
    port = match["port"]
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"next hop {text!r} has no valid port")


@lru_cache(maxsize=256)  # a script has a few dozen texts; one that is made of data only pushes the others out
def reply_of_text(text: str, code: int, enhanced: str) -> Reply:
    """The reply that *text* is, where it begins like one, else *code* and *enhanced* with that text."""
    match = _WHOLE_REPLY.fullmatch(text)
    if match is None:
        return Reply(code, enhanced, text)
    given, status, rest = match.groups()
    if status is None and given[0] == enhanced[0]:
        status = enhanced
    return Reply(int(given), status, rest or "")


def _reply_of(reply: Reply | str, first_digit: int, code: int, enhanced: str) -> Reply:
    made = reply_of_text(reply, code, enhanced) if isinstance(reply, str) else reply
    if made.code // 100 != first_digit:
        raise ValueError(f"a reply of {made.code} where {first_digit}yz is needed")
    return made


def _caller() -> str:
    """`policy.py:12`: the line that called the constructor, which is what "why?" is answered with."""
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
