"""
What became of the messages of a run: counts, replies by code, errors by kind, four histograms.

Bounded whatever a server says: only so many different replies and errors are told apart.
"""

from typing import Final, Literal

from pymta._core import Reply
from pymta.load.histogram import Histogram

__all__ = ["ErrorCount", "ReplyCount", "Tally"]

_REPLIES_MAX: Final = 200
_ERRORS_MAX: Final = 50
_TEXT_OCTETS_MAX: Final = 200
_OTHERS: Final = "others"

Fate = Literal["accepted", "deferred", "refused", "lost"]


class ReplyCount:
    """A reply code with its enhanced status, how often it came for a recipient, and the text it first came with."""

    __slots__ = ("code", "count", "enhanced", "text")

    def __init__(self, code: int, enhanced: str | None, text: str) -> None:
        self.code = code
        self.enhanced = enhanced
        self.text = text[:_TEXT_OCTETS_MAX]
        self.count = 0


class ErrorCount:
    """Something that went wrong with a connection, and how often."""

    __slots__ = ("count", "what")

    def __init__(self, what: str) -> None:
        self.what = what[:_TEXT_OCTETS_MAX]
        self.count = 0


class Tally:
    """
    Counts of one run.

    A message is *accepted* where every recipient got a positive reply; else *deferred* or *refused* by the worst reply
    that any got, or *lost* where the connection ended before it was answered.
    """

    __slots__ = (
        "accepted",
        "connect",
        "connections",
        "connections_failed",
        "data",
        "deferred",
        "errors",
        "final",
        "lost",
        "octets",
        "recipients_accepted",
        "refused",
        "replies",
        "whole",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.deferred = 0
        self.refused = 0
        self.lost = 0
        self.recipients_accepted = 0
        self.octets = 0
        self.connections = 0
        self.connections_failed = 0
        self.replies: dict[tuple[int, str | None], ReplyCount] = {}
        self.errors: dict[str, ErrorCount] = {}
        self.connect = Histogram()
        """From the begin of a connection until EHLO (after any TLS) is answered."""
        self.data = Histogram()
        """From MAIL until 354: commands."""
        self.final = Histogram()
        """From the end of the content until its reply."""
        self.whole = Histogram()
        """From when the message was due until the reply to its content."""

    @property
    def answered(self) -> int:
        """Messages whose fate is known."""
        return self.accepted + self.deferred + self.refused + self.lost

    def outcome(self, outcomes: list[tuple[int, Reply]], octets: int) -> None:
        """Count one message by the replies for its recipients."""
        positive = 0
        fate: Fate = "accepted"
        for _, reply in outcomes:
            self._reply(reply)
            if reply.is_positive:
                positive += 1
            elif reply.is_permanent:
                fate = "refused"
            elif fate == "accepted":
                fate = "deferred"
        self.recipients_accepted += positive
        if positive:
            self.octets += octets
        if fate == "accepted":
            self.accepted += 1
        elif fate == "deferred":
            self.deferred += 1
        else:
            self.refused += 1

    def _reply(self, reply: Reply) -> None:
        key = (reply.code, reply.enhanced)
        counted = self.replies.get(key)
        if counted is None:
            if len(self.replies) >= _REPLIES_MAX:
                key = (reply.code // 100 * 100, _OTHERS)
            counted = self.replies.setdefault(key, ReplyCount(*key, reply.text))
        counted.count += 1

    def error(self, what: str) -> None:
        """Count something that went wrong with a connection."""
        if what not in self.errors and len(self.errors) >= _ERRORS_MAX:
            what = _OTHERS
        self.errors.setdefault(what, ErrorCount(what)).count += 1
