"""
What a listener knows of a door and of a connection, whatever protocol is spoken behind it.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from pymta.accept.door import Door
from pymta.accept.driver import SmtpDriver
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.listen.admission import Admission
from pymta.listen.descriptors import Descriptors
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics

__all__ = ["AnyDoor", "AnyDriver", "make_driver"]


class AnyDriver(Protocol):
    """A connection."""

    def sweep(self, now_s: float) -> None:
        """Look at the time limits."""

    def fail(self, error: BaseException) -> None:
        """End it for a bug of ours."""

    def stop(self) -> None:
        """The server stops."""

    def abort(self) -> None:
        """The grace is over."""


class OtherDoor(Protocol):
    """A door that makes its connections itself."""

    settings: ListenerSettings
    limits: LimitsSettings
    admission: Admission
    descriptors: Descriptors
    log: Log
    metrics: Metrics
    challenges: Any

    @property
    def tls_context(self) -> Callable[[], ssl.SSLContext] | None: ...
    def is_trusted(self, address: str) -> bool: ...
    def speaks_proxy(self, address: str) -> bool: ...
    def driver(
        self, drivers: set[Any], *, proxied: tuple[str, int] | None, on_made: Callable[[], None] | None
    ) -> asyncio.Protocol: ...


AnyDoor = Door | OtherDoor


def make_driver(
    door: AnyDoor,
    drivers: set[Any],
    *,
    proxied: tuple[str, int] | None = None,
    on_made: Callable[[], None] | None = None,
) -> asyncio.Protocol:
    """A connection through that door."""
    if isinstance(door, Door):
        return SmtpDriver(door, drivers, proxied=proxied, on_made=on_made)
    return door.driver(drivers, proxied=proxied, on_made=on_made)
