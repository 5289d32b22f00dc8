"""
What all sessions of one POP3 listener share. Made anew on reload; sessions in progress keep the one they came through.
"""

import asyncio
import ssl
from collections.abc import Callable
from itertools import count
from typing import Any

from pymta._core import Pop3Settings
from pymta.accept.descriptors import Descriptors
from pymta.accept.door import Admission, is_loopback, membership
from pymta.access.maildrops import Maildrops
from pymta.access.pop3.driver import Pop3Driver
from pymta.auth.login import Logins
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.config.settings.pop3 import Pop3DoorSettings
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.policy.script import PolicyHolder
from pymta.policy.session import Listener
from pymta.tls.server import ServerTls

__all__ = ["Pop3Door"]


class Pop3Door:
    """See the module."""

    def __init__(
        self,
        settings: ListenerSettings,
        limits: LimitsSettings,
        pop3: Pop3DoorSettings,
        *,
        logins: Logins,
        policies: PolicyHolder,
        maildrops: Maildrops,
        admission: Admission,
        descriptors: Descriptors,
        log: Log,
        metrics: Metrics,
        now_ms: Callable[[], int],
        tls: ServerTls | None,
        sids: "count[int]",
        sid_prefix: str,
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.pop3 = pop3
        self.logins = logins
        self.policies = policies
        self.maildrops = maildrops
        self.admission = admission
        self.descriptors = descriptors
        self.log = log
        self.metrics = metrics
        self.now_ms = now_ms
        self.challenges = None
        self.listener = Listener(settings.name, "pop3", str(settings.address))
        self._tls = tls
        self._sids = sids
        self._sid_prefix = sid_prefix
        self._trusted = membership(settings.trusted_networks)
        self._proxy = membership(settings.proxy_networks)
        self._session_settings: dict[bool, Pop3Settings] = {}

    def driver(
        self, drivers: set[Any], *, proxied: tuple[str, int] | None, on_made: Callable[[], None] | None
    ) -> asyncio.Protocol:
        """A connection's."""
        return Pop3Driver(self, drivers, proxied=proxied, on_made=on_made)

    def next_sid(self) -> str:
        """A name for a session that no other session of this or an earlier run has."""
        return f"{self._sid_prefix}-{next(self._sids):x}"

    def is_trusted(self, address: str) -> bool:
        """Whether a client of that address is exempt from the limit for each address."""
        return self._trusted(address)

    def speaks_proxy(self, address: str) -> bool:
        """Whether connections from there begin with a PROXY header."""
        return self._proxy(address)

    def session_settings(self, address: str) -> Pop3Settings:
        """What is announced and allowed to a client of that address."""
        in_the_clear = self.logins.settings.in_the_clear == "loopback" and is_loopback(address)
        made = self._session_settings.get(in_the_clear)
        if made is None:
            mechanisms = self._mechanisms()
            made = self._session_settings[in_the_clear] = Pop3Settings(
                stls=self.settings.tls == "starttls",
                auth_mechanisms=mechanisms,
                user_and_pass="PLAIN" in mechanisms,
                auth_without_tls=in_the_clear,
                login_delay_s=self.pop3.login_delay_s or None,
                limits={
                    "line_octets_max": self.pop3.line_octets_max,
                    "auth_line_octets_max": self.limits.auth_line_octets_max,
                    "commands_before_login_max": self.pop3.commands_before_login_max,
                    "commands_max": self.limits.commands_max,
                    "auth_failures_max": self.limits.auth_failures_max,
                    "violations_max": self.limits.violations_max,
                },
            )
        return made

    @property
    def tls_context(self) -> Callable[[], ssl.SSLContext] | None:
        """Gives the context for a handshake; None without TLS."""
        tls = self._tls
        return None if tls is None else lambda: tls.context

    def _mechanisms(self) -> tuple[str, ...]:
        tls = self._tls
        return self.logins.mechanisms(
            tls=tls is not None,
            end_point=tls is not None and tls.has_end_point,
            certificate=tls is not None and tls.asks_clients,
            keys=True,
            tokens=self.policies.current.on_token is not None,
        )
