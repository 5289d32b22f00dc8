"""
Certificates by ACME in a process that asks for them: the one server, or the supervisor of several workers.
"""

from collections.abc import Callable

from pymta.acme.challenges import Challenges
from pymta.acme.keeper import Keeper, make_ready
from pymta.acme.responder import Responder, bind
from pymta.acme.store import Store
from pymta.config.settings import Settings
from pymta.observe.log import Log
from pymta.observe.metrics import Counts
from pymta.runtime.clock import SystemClock
from pymta.tls.challenge import TlsChallenges

__all__ = ["make_keeper"]


def make_keeper(
    settings: Settings, *, log: Log, orders: Counts, version: str, on_changed: Callable[[], None]
) -> Keeper:
    """
    Make what the doors need before there is a certificate, bind the authority's addresses, begin nothing.

    Raises:
        ConfigError: The library is not installed.
        OSError: An address cannot be bound, or the data folder not be written.
    """
    make_ready(settings)
    folder = settings.acme_folder
    addresses = settings.acme.addresses if settings.acme.names else ()
    responder = Responder(
        bind(addresses), http_folder=Challenges(folder).http_folder, tls=TlsChallenges(folder)
    )

    def issue(name: str, settings: Settings, say: Callable[[str, str], None]) -> bytes:
        from pymta.acme.issuer import issue  # an extra, which `make_ready` has found

        return issue(name, settings.acme, Store(folder), user_agent=f"pymta/{version}", say=say)

    return Keeper(
        settings,
        responder,
        addresses=addresses,
        issue=issue,
        log=log,
        orders=orders,
        now_ms=SystemClock().now_ms,
        on_changed=on_changed,
    )
