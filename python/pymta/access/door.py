"""
What all sessions of one listener share by which mail is read, whatever protocol is spoken. Made anew on reload; sessions
in progress keep the one they came through.
"""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from pymta.auth.login import Logins
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.listen.admission import Admission
from pymta.listen.descriptors import Descriptors
from pymta.listen.peers import is_loopback, membership
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.policy.script import PolicyHolder
from pymta.policy.session import Listener
from pymta.tls.server import ServerTls

__all__ = ["House", "ReadingDoor"]


@dataclass(frozen=True)
class House:
    """What the doors of a server have of it."""

    logins: Logins
    policies: PolicyHolder
    admission: Admission
    descriptors: Descriptors
    log: Log
    metrics: Metrics
    now_ms: Callable[[], int]
    sids: "count[int]"
    sid_prefix: str


class ReadingDoor(ABC):
    """See the module."""

    login_s_max: int
    """How long a client may take to log in."""

    def __init__(
        self,
        role: Literal["pop3", "imap"],
        settings: ListenerSettings,
        limits: LimitsSettings,
        house: House,
        tls: ServerTls | None,
    ) -> None:
        """
        Args:
            role: What is spoken.
            settings: The listener's.
            limits: What holds for it.
            house: The server.
            tls: What protects it, where anything does.
        """
        self.settings = settings
        self.limits = limits
        self.logins = house.logins
        self.policies = house.policies
        self.admission = house.admission
        self.descriptors = house.descriptors
        self.log = house.log
        self.metrics = house.metrics
        self.now_ms = house.now_ms
        self.challenges = None
        self.listener = Listener(settings.name, role, str(settings.address))
        self._tls = tls
        self._sids = house.sids
        self._sid_prefix = house.sid_prefix
        self._trusted = membership(settings.trusted_networks)
        self._proxy = membership(settings.proxy_networks)

    @abstractmethod
    def driver(
        self, drivers: set[Any], *, proxied: tuple[str, int] | None, on_made: Callable[[], None] | None
    ) -> asyncio.Protocol:
        """A connection's."""

    def next_sid(self) -> str:
        """A name for a session that no other session of this or an earlier run has."""
        return f"{self._sid_prefix}-{next(self._sids):x}"

    def is_trusted(self, address: str) -> bool:
        """Whether a client of that address is exempt from the limit for each address."""
        return self._trusted(address)

    def speaks_proxy(self, address: str) -> bool:
        """Whether connections from there begin with a PROXY header."""
        return self._proxy(address)

    def logs_in_in_the_clear(self, address: str) -> bool:
        """Whether a client of that address may log in without TLS."""
        return self.logins.settings.in_the_clear == "loopback" and is_loopback(address)

    @property
    def tls_context(self) -> Callable[[], ssl.SSLContext] | None:
        """Gives the context for a handshake; None without TLS."""
        tls = self._tls
        return None if tls is None else lambda: tls.context

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """How a client can log in."""
        tls = self._tls
        return self.logins.mechanisms(
            tls=tls is not None,
            end_point=tls is not None and tls.has_end_point,
            certificate=tls is not None and tls.asks_clients,
            keys=True,
            tokens=self.policies.current.on_token is not None,
        )
