"""
What one of several workers may use of what the configuration allows to all of them.

Divided is what each worker's queue has the same mix of: connections to next hops, in all and per site, rates, messages in
hand, memory. Nothing is divided below 1; `config/checks.py` refuses a limit that has not one for each worker. Clients'
connections are not here: the kernel spreads them unevenly, so they are counted together (docs/decisions/0011).
"""

import msgspec

from pymta.config.settings import Settings
from pymta.spool.shards import Place

__all__ = ["share_of"]


def share_of(settings: Settings, place: Place) -> Settings:
    """The settings of one worker. What does not come out even goes to the first ones."""

    def part(value: int) -> int:
        whole, over = divmod(value, place.count)
        return max(whole + (place.number <= over), 1)

    delivery, queue, spool = settings.delivery, settings.queue, settings.spool
    rate = delivery.messages_per_site_per_min_max
    per_site_max = part(delivery.connections_per_site_max)
    active_max = part(queue.active_max)
    memory_octets_max = max(part(spool.memory_octets_max), spool.spill_octets)
    return msgspec.structs.replace(
        settings,
        auth=msgspec.structs.replace(settings.auth, verifying_max=part(settings.auth.verifying_max)),
        delivery=msgspec.structs.replace(
            delivery,
            connections_max=part(delivery.connections_max),
            connections_per_site_max=per_site_max,
            connections_per_site_start=min(part(delivery.connections_per_site_start), per_site_max),
            messages_per_site_per_min_max=part(rate) if rate else 0,
            ready_max=part(delivery.ready_max),
        ),
        queue=msgspec.structs.replace(
            queue, active_max=active_max, active_per_group_max=min(queue.active_per_group_max, active_max)
        ),
        spool=msgspec.structs.replace(
            spool,
            memory_octets_max=memory_octets_max,
            pending_octets_max=part(spool.pending_octets_max),
        ),
    )
