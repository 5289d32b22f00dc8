"""
Greylisting (RFC 6647): who is not known is asked to come back. Real mail servers do; much of the rest does not.

Known is a network that has come back once, for as long as it keeps sending. An unknown one is remembered together with
reverse-path and forward-path. Both memories are bounded and forget what was used least lately.
"""

import ipaddress
from collections import OrderedDict
from typing import TypeVar

from pymta.policy import Address, Session, Verdict, defer

WAIT_MS_MIN = 5 * 60 * 1000
WAIT_MS_MAX = 24 * 60 * 60 * 1000
KNOWN_MS_MAX = 35 * 24 * 60 * 60 * 1000
ENTRIES_MAX = 100_000

Key = TypeVar("Key", str, tuple[str, str, str])

known: OrderedDict[str, int] = OrderedDict()  # network → when it last sent
waiting: OrderedDict[tuple[str, str, str], int] = OrderedDict()  # who, from, for → when it first tried


def network_of(address: str) -> str:
    """One provider's servers retry from different addresses, mostly of the same network (RFC 6647 §2.2)."""
    bits = 64 if ":" in address else 24
    return str(ipaddress.ip_network((address, bits), strict=False))


def remember(memory: OrderedDict[Key, int], key: Key, at_ms: int) -> None:
    memory[key] = at_ms
    memory.move_to_end(key)
    if len(memory) > ENTRIES_MAX:
        memory.popitem(last=False)


def rcpt(session: Session, forward_path: Address) -> Verdict | None:
    if session.trusted or session.account is not None:
        return None
    now_ms = session.now_ms
    network = network_of(session.peer_address)
    if now_ms - known.get(network, -KNOWN_MS_MAX) < KNOWN_MS_MAX:
        remember(known, network, now_ms)
        return None
    reverse_path = session.reverse_path
    triplet = (network, "" if reverse_path is None else reverse_path.canonical, forward_path.canonical)
    first_ms = waiting.get(triplet)
    if first_ms is None or now_ms - first_ms > WAIT_MS_MAX:
        remember(waiting, triplet, now_ms)
        return defer("450 4.7.1 greylisted, please try again in five minutes", reason="first seen")
    if now_ms - first_ms < WAIT_MS_MIN:
        return defer("450 4.7.1 greylisted, please try again in five minutes", reason="came back too soon")
    del waiting[triplet]
    remember(known, network, now_ms)
    return None
