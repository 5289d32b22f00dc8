"""
What all sessions of one POP3 listener share. Made anew on reload; sessions in progress keep the one they came through.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pymta._core import Pop3Settings
from pymta.access.door import House, ReadingDoor
from pymta.access.maildrops import Maildrops
from pymta.access.pop3.driver import Pop3Driver
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.config.settings.pop3 import Pop3DoorSettings
from pymta.tls.server import ServerTls

__all__ = ["Pop3Door"]


class Pop3Door(ReadingDoor):
    """See the module."""

    def __init__(
        self,
        settings: ListenerSettings,
        limits: LimitsSettings,
        pop3: Pop3DoorSettings,
        house: House,
        *,
        maildrops: Maildrops,
        tls: ServerTls | None,
    ) -> None:
        super().__init__("pop3", settings, limits, house, tls)
        self.pop3 = pop3
        self.login_s_max = pop3.login_s_max
        self.maildrops = maildrops
        self._session_settings: dict[bool, Pop3Settings] = {}

    def driver(
        self, drivers: set[Any], *, proxied: tuple[str, int] | None, on_made: Callable[[], None] | None
    ) -> asyncio.Protocol:
        """A connection's."""
        return Pop3Driver(self, drivers, proxied=proxied, on_made=on_made)

    def session_settings(self, address: str) -> Pop3Settings:
        """What is announced and allowed to a client of that address."""
        in_the_clear = self.logs_in_in_the_clear(address)
        made = self._session_settings.get(in_the_clear)
        if made is None:
            mechanisms = self.mechanisms
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
