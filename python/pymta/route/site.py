"""
The name of a site: the set of hosts behind a domain, so that all domains hosted at one provider share one limit.

Two domains have the same site where their sets of MX hosts are equal, whatever the preferences; so it is made of all
the names in the DNS answer and never of what an address lookup or a shuffle left over. It is for people too (log,
metrics, `pymta explain`), hence the form of a shell's brace expansion, which gives the set back:

    one host                      mx.example.net
    a common end                  {,alt1.,alt2.}aspmx.l.example.com
    nothing in common             {mx.example.net,mx.example.org}
    another port, another way     mx.example.net:2525    lmtp:store.example.net:24
    under a configured suffix     *.mail.protection.outlook.com

The last line is for providers that give each customer an MX name of their own: no set is equal there.
"""

import hashlib
from collections.abc import Iterable

# Providers with a host name for each customer. Microsoft documents these for Exchange Online (the second with DNSSEC).
SHARED_SUFFIXES = ("mail.protection.outlook.com", "mx.microsoft")

# Longer names get a digest at the end; a metric's label and a log line have to hold it.
SITE_OCTETS_MAX = 160

_DIGEST_DIGITS = 16


def site_name(
    hosts: Iterable[str],
    *,
    port: int = 25,
    transport: str = "smtp",
    shared_suffixes: tuple[str, ...] = SHARED_SUFFIXES,
) -> str:
    """
    The site of *hosts* (canonical names, or addresses), which are the same whatever their order and number of times.
    """
    names = sorted(set(hosts))
    name = _below_one(names, shared_suffixes) or _braces(names)
    if len(name) > SITE_OCTETS_MAX:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
        name = f"{name[: SITE_OCTETS_MAX - _DIGEST_DIGITS - 1]}#{digest}"
    if port != 25:
        name = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return name if transport == "smtp" else f"{transport}:{name}"


def _below_one(names: list[str], suffixes: tuple[str, ...]) -> str | None:
    for suffix in suffixes:
        if all(name.endswith(f".{suffix}") for name in names):
            return f"*.{suffix}"
    return None


def _braces(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    end = _common_end(names)
    starts = sorted(name[: len(name) - len(end)] for name in names)
    return f"{{{','.join(starts)}}}{end}"


def _common_end(names: list[str]) -> str:
    """The labels at the end that all have, at least two of them: a common `com` says nothing."""
    split = [name.split(".")[::-1] for name in names]
    common: list[str] = []
    for labels in zip(*split, strict=False):
        if len(set(labels)) > 1:
            break
        common.append(labels[0])
    if len(common) < 2 or any(":" in name or name[-1].isdigit() for name in names):
        return ""
    return ".".join(reversed(common))
