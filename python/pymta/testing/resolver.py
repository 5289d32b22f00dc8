"""
A DNS in a dictionary, for tests of what is built on `pymta.dns.Resolver`.

It is not a DNS server: no wire format, no cache. What the resolver itself does is tested against a real one
(tests/dns). Rule: a name that nobody told it about does not exist.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping

from pymta.dns.answers import (
    Answer,
    Families,
    Found,
    MxRecord,
    NoData,
    NxDomain,
    T,
    Unavailable,
    both_families,
)

__all__ = ["FakeResolver"]


class FakeResolver:
    """
    Answers from what it was given, and remembers what it was asked.

    Args:
        mx: Domain → (preference, host) pairs; a host "." is the root (null MX).
        addresses: Host → addresses of both families.
        txt: Name → texts.
        ptr: Address → names.
        unavailable: Names about which nobody can tell (as with SERVFAIL).
        ttl_s: Of every answer.
        now_ms: The clock that answers expire by.

    The mappings may be changed while it is used.
    """

    def __init__(
        self,
        *,
        mx: Mapping[str, Iterable[tuple[int, str]]] | None = None,
        addresses: Mapping[str, Iterable[str]] | None = None,
        txt: Mapping[str, Iterable[bytes]] | None = None,
        ptr: Mapping[str, Iterable[str]] | None = None,
        unavailable: Iterable[str] = (),
        ttl_s: int = 300,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.mx_records = {name: list(records) for name, records in (mx or {}).items()}
        self.address_records = {name: list(records) for name, records in (addresses or {}).items()}
        self.txt_records = {name: list(records) for name, records in (txt or {}).items()}
        self.ptr_records = {name: list(records) for name, records in (ptr or {}).items()}
        self.unavailable = set(unavailable)
        self.ttl_s = ttl_s
        self.questions: list[str] = []
        """What was asked, in order: "MX example.org", "A mx.example.org"."""
        self._now_ms = now_ms

    async def mx(self, domain: str) -> Answer[MxRecord]:
        records = [MxRecord(p, "" if h == "." else h) for p, h in self.mx_records.get(domain, ())]
        return self._answer("MX", domain, sorted(records))

    async def addresses(self, host: str, families: Families = "both") -> Answer[str]:
        every = self.address_records.get(host, [])
        ipv4 = [address for address in every if ipaddress.ip_address(address).version == 4]
        ipv6 = [address for address in every if ipaddress.ip_address(address).version == 6]
        if families == "ipv4":
            return self._answer("A", host, ipv4)
        if families == "ipv6":
            return self._answer("AAAA", host, ipv6)
        return both_families(self._answer("A", host, ipv4), self._answer("AAAA", host, ipv6))

    async def txt(self, name: str) -> Answer[bytes]:
        return self._answer("TXT", name, self.txt_records.get(name, []))

    async def ptr(self, address: str) -> Answer[str]:
        return self._answer("PTR", address, self.ptr_records.get(address, []))

    def _answer(self, kind: str, name: str, records: list[T]) -> Answer[T]:
        self.questions.append(f"{kind} {name}")
        expires_ms = self._now_ms() + self.ttl_s * 1000
        if name in self.unavailable:
            return Unavailable("SERVFAIL", self.ttl_s, expires_ms)
        if records:
            return Found(tuple(records), self.ttl_s, expires_ms, name)
        tables: list[Mapping[str, object]] = [
            self.mx_records,
            self.address_records,
            self.txt_records,
            self.ptr_records,
        ]
        known = any(name in table for table in tables)
        return (NoData if known else NxDomain)(self.ttl_s, expires_ms, name)
