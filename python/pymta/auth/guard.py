"""
What stops those who guess passwords: a delay that grows, then a ban, for an address and for an account.

In memory and bounded: who is forgotten for want of room has been quiet the longest. A restart forgives everybody; a
firewall that reads the log does not (docs/fail2ban.md).

Banned for an account are only addresses from which it never logged in, so that nobody can lock somebody else out.
"""

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from pymta.config.settings.auth import AuthSettings
from pymta.config.values import NetworkSet

__all__ = ["Guard"]

# Addresses, accounts and pairs of them that are remembered, each.
ENTRIES_MAX: Final = 20_000
_DELAY_S_FIRST: Final = 1.0
_V6_PREFIX_BITS: Final = 64


class _Failures:
    """Failures of one address or account, and until when it is banned."""

    __slots__ = ("at_s", "banned_until_s")

    def __init__(self) -> None:
        self.at_s: deque[float] = deque()
        self.banned_until_s = 0.0


class Guard:
    """One instance for all protocols."""

    def __init__(self, settings: AuthSettings, *, monotonic: Callable[[], float] = monotonic) -> None:
        """
        Args:
            settings: How many, how long.
            monotonic: A clock, in seconds.
        """
        self.settings = settings
        self._monotonic = monotonic
        self._exempt = NetworkSet(settings.never_banned_networks)
        self._addresses: OrderedDict[str, _Failures] = OrderedDict()
        self._accounts: OrderedDict[str, _Failures] = OrderedDict()
        self._at_home: OrderedDict[tuple[str, str], None] = OrderedDict()

    def use_settings(self, settings: AuthSettings) -> None:
        """After a reload. What was counted stays."""
        self.settings = settings
        self._exempt = NetworkSet(settings.never_banned_networks)

    def why_banned(self, peer_address: str, account: str) -> str | None:
        """Why a login is not even looked at, for the log; None where it is."""
        if peer_address in self._exempt:
            return None
        now_s = self._monotonic()
        peer = _counted(peer_address)
        by_address = self._addresses.get(peer)
        if by_address is not None and by_address.banned_until_s > now_s:
            return f"address banned for {by_address.banned_until_s - now_s:.0f} s"
        by_account = self._accounts.get(account)
        if by_account is None or by_account.banned_until_s <= now_s or (peer, account) in self._at_home:
            return None
        return f"account banned for {by_account.banned_until_s - now_s:.0f} s"

    def failed(self, peer_address: str, account: str) -> tuple[float, str]:
        """
        Count a failed login.

        Returns:
            How long to wait with the answer, in seconds, and what ban it brought, empty for none.
        """
        if peer_address in self._exempt:
            return 0.0, ""
        settings, peer = self.settings, _counted(peer_address)
        failures, banned = self._count(self._addresses, peer, settings.failures_per_address_max)
        ban = f"address banned for {settings.ban_s} s" if banned else ""
        # An account that nobody has is counted like any other: a ban must not tell which ones there are.
        if account and self._count(self._accounts, account, settings.failures_per_account_max)[1]:
            ban = ban or f"account banned for {settings.ban_s} s"
        if not settings.delay_s_max:
            return 0.0, ban
        return min(_DELAY_S_FIRST * 2 ** min(failures - 1, 16), float(settings.delay_s_max)), ban

    def succeeded(self, peer_address: str, account: str) -> None:
        """
        A login that was right: from now on the address is at home there.

        Its failures still count: whoever has an account here could otherwise guess at others for ever.
        """
        peer = _counted(peer_address)
        self._at_home[peer, account] = None
        self._at_home.move_to_end((peer, account))
        if len(self._at_home) > ENTRIES_MAX:
            self._at_home.popitem(last=False)

    def _count(self, table: OrderedDict[str, _Failures], key: str, failures_max: int) -> tuple[int, bool]:
        """How many there are now, and whether this one brought a ban."""
        now_s, settings = self._monotonic(), self.settings
        entry = table.get(key)
        if entry is None:
            entry = table[key] = _Failures()
            if len(table) > ENTRIES_MAX:
                table.popitem(last=False)
        table.move_to_end(key)
        entry.at_s.append(now_s)
        while entry.at_s[0] <= now_s - settings.failures_s or len(entry.at_s) > max(failures_max, 16):
            entry.at_s.popleft()
        count = len(entry.at_s)
        if failures_max and count >= failures_max and entry.banned_until_s <= now_s:
            entry.banned_until_s = now_s + settings.ban_s
            entry.at_s.clear()
            return count, True
        return count, False


def _counted(address: str) -> str:
    """One IPv6 customer has at least a /64, so that is what is counted as one address."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address, _V6_PREFIX_BITS), strict=False).network_address)
    except ValueError:
        return address
