"""
How much an account submits: messages and recipients of a day, and bursts that look like a stolen password.

Counted in memory, in slices of the time; workers tell each other (app/together.py), and what a day has is kept in a file for
the next start (app/submitted.py), bursts are not. Who is forgotten for want of room has been quiet the longest.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pymta._core import Reply
from pymta.config.settings.submission import SubmissionSettings
from pymta.mail.verdict import Verdict

__all__ = ["Burst", "DaySlice", "Rates"]

ACCOUNTS_MAX: Final = 20_000
_DAY_MS: Final = 86_400_000
_SLICES: Final = 24

_TOO_MUCH: Final = Reply(450, "4.7.1", "you have sent too much today, try again later")
_TOO_MANY_MESSAGES: Final = Verdict("defer", _TOO_MUCH, "messages_per_day_max")
_TOO_MANY_RECIPIENTS: Final = Verdict("defer", _TOO_MUCH, "recipients_per_day_max")


class Burst(msgspec.Struct, frozen=True):
    """Unusually many recipients: what a `burst` hook is told."""

    account: str
    recipients: int
    """Of the last *in_s* seconds, those of this message included."""
    in_s: int


class DaySlice(msgspec.Struct, frozen=True):
    """What an account sent in one slice of a day."""

    number: int
    """Of the slice, from the epoch: an hour each."""
    account: str
    messages: int
    recipients: int


class _Window:
    """A sum over the last while, in slices."""

    __slots__ = ("_slice_ms", "_slices", "sum")

    def __init__(self, span_ms: int) -> None:
        self._slice_ms = _slice_ms(span_ms)
        self._slices: deque[list[int]] = deque()
        self.sum = 0

    def add(self, count: int, now_ms: int) -> int:
        """The sum, after *count* more; 0 only looks."""
        now = now_ms // self._slice_ms
        while self._slices and self._slices[0][0] <= now - _SLICES:
            self.sum -= self._slices.popleft()[1]
        if count:
            if self._slices and self._slices[-1][0] == now:
                self._slices[-1][1] += count
            else:
                self._slices.append([now, count])
            self.sum += count
        return self.sum

    def restore(self, number: int, count: int) -> None:
        """What a slice had that is not older than those before it."""
        if count:
            self._slices.append([number, count])
            self.sum += count


def _slice_ms(span_ms: int) -> int:
    return max(span_ms // _SLICES, 1)


class _Account:
    __slots__ = ("burst", "messages", "recipients")

    def __init__(self, burst_s: int) -> None:
        self.messages = _Window(_DAY_MS)
        self.recipients = _Window(_DAY_MS)
        self.burst = _Window(burst_s * 1000)


class Rates:
    """One instance for all listeners. An account is known by its name."""

    def __init__(self, settings: SubmissionSettings, *, now_ms: Callable[[], int]) -> None:
        self.on_taken: Callable[[DaySlice], None] = lambda taken: None
        """Told of each message that was counted here."""
        self._settings = settings
        self._now_ms = now_ms
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def use_settings(self, settings: SubmissionSettings) -> None:
        """After a reload. What was counted stays, but for bursts where their time changed."""
        if settings.burst_s != self._settings.burst_s:
            for account in self._accounts.values():
                account.burst = _Window(settings.burst_s * 1000)
        self._settings = settings

    def at_mail(self, name: str) -> Verdict | None:
        """Whether the account may send one message more today."""
        account, most = self._accounts.get(name), self._settings.messages_per_day_max
        if account is None or not most or account.messages.add(0, self._now_ms()) < most:
            return None
        return _TOO_MANY_MESSAGES

    def at_rcpt(self, name: str, recipients: int) -> Verdict | None:
        """Whether a message of that many recipients may have one more."""
        most = self._settings.recipients_per_day_max
        if not most:
            return None
        account = self._accounts.get(name)
        before = 0 if account is None else account.recipients.add(0, self._now_ms())
        return None if before + recipients < most else _TOO_MANY_RECIPIENTS

    def first_slice(self) -> int:
        """The number of the oldest slice that still counts."""
        return self._now_ms() // _slice_ms(_DAY_MS) - _SLICES + 1

    def restore(self, slices: Iterable[DaySlice]) -> None:
        """Go on from what was counted before the start: slices in their order, each account once in each."""
        first = self.first_slice()
        for one in slices:
            # A clock that was set back must not keep anybody out for longer than a day.
            if first <= one.number < first + _SLICES:
                account = self._account(one.account)
                account.messages.restore(one.number, one.messages)
                account.recipients.restore(one.number, one.recipients)

    def take(self, name: str, recipients: int) -> Verdict | Burst | None:
        """
        Count a message that is about to be accepted.

        Returns:
            None where all is well; a refusal, and nothing counted, where sessions at the same time have used up the day;
            a Burst where it looks as if the account were stolen.
        """
        verdict = self.count_along(name, recipients)
        if not isinstance(verdict, Verdict):
            self.on_taken(DaySlice(self._now_ms() // _slice_ms(_DAY_MS), name, 1, recipients))
        return verdict

    def count_along(self, name: str, recipients: int) -> Verdict | Burst | None:
        """As `take`, of a message that somebody else has taken."""
        settings, now_ms = self._settings, self._now_ms()
        refused = self.at_mail(name) or (self.at_rcpt(name, recipients - 1) if recipients else None)
        if refused is not None:
            return refused
        account = self._account(name)
        account.messages.add(1, now_ms)
        account.recipients.add(recipients, now_ms)
        burst = account.burst.add(recipients, now_ms)
        if settings.burst_recipients_max and burst > settings.burst_recipients_max:
            return Burst(name, burst, settings.burst_s)
        return None

    def _account(self, name: str) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(self._settings.burst_s)
            if len(self._accounts) > ACCOUNTS_MAX:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(name)
        return account
