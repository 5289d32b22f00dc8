"""
What all sessions of one IMAP listener share. Made anew on reload; sessions in progress keep the one they came through.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pymta._core import ImapSettings
from pymta.access.door import House, ReadingDoor
from pymta.access.imap.driver import ImapDriver
from pymta.access.imap.mailboxes import Mailboxes
from pymta.config.settings.imap import ImapDoorSettings
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.tls.server import ServerTls

__all__ = ["ImapDoor"]


class ImapDoor(ReadingDoor):
    """See the module."""

    def __init__(
        self,
        settings: ListenerSettings,
        limits: LimitsSettings,
        imap: ImapDoorSettings,
        house: House,
        *,
        mailboxes: Mailboxes,
        tls: ServerTls | None,
    ) -> None:
        super().__init__("imap", settings, limits, house, tls)
        self.imap = imap
        self.login_s_max = imap.login_s_max
        self.mailboxes = mailboxes
        self._session_settings: dict[bool, ImapSettings] = {}

    def driver(
        self, drivers: set[Any], *, proxied: tuple[str, int] | None, on_made: Callable[[], None] | None
    ) -> asyncio.Protocol:
        """A connection's."""
        return ImapDriver(self, drivers, proxied=proxied, on_made=on_made)

    def session_settings(self, address: str) -> ImapSettings:
        """What is announced and allowed to a client of that address."""
        in_the_clear = self.logs_in_in_the_clear(address)
        made = self._session_settings.get(in_the_clear)
        if made is None:
            mechanisms = self.mechanisms
            made = self._session_settings[in_the_clear] = ImapSettings(
                starttls=self.settings.tls == "starttls",
                auth_mechanisms=mechanisms,
                login="PLAIN" in mechanisms,
                auth_without_tls=in_the_clear,
                compress=self.imap.compress,
                acl=self.imap.shared_mailboxes,
                append_octets_max=self.limits.message_octets_max,
                identity=[("name", "pymta")],
                limits={
                    "auth_failures_max": self.limits.auth_failures_max,
                    "violations_max": self.limits.violations_max,
                },
            )
        return made
