"""
Who may have mail taken to where: the check that keeps this from being an open relay.

Rule: permission depends on who asks (trusted network, logged in) and on the domain as the grammar sees it, and on
nothing that an address merely contains. What another host might *read into* a local part is refused to strangers.
"""

import unicodedata
from collections.abc import Iterable

from pymta._core import Address, Reply
from pymta.mail.names import canonical_name, readable_name
from pymta.mail.verdict import Verdict
from pymta.policy.checks.noted import noted
from pymta.policy.session import Session

__all__ = ["RelayDomains", "relay_check"]

_DENIED = Verdict("refuse", Reply(550, "5.7.1", "relay access denied"), "not a relay domain")
_ROUTED = Verdict("refuse", Reply(550, "5.7.1", "relay access denied"), "local part asks for a further hop")
_LOGIN_NEEDED = Verdict("refuse", Reply(530, "5.7.0", "authentication required"), "not logged in")

# What makes some host read a local part as another address: user%host (RFC 733 usage), host!user (UUCP), user@host
# in quotes. RFC 5321 §4.1.2 leaves the local part to its own host, but a relay domain's mail goes on to a host that we
# do not know, and that host trusts us: were it to route `a%ext@us` to ext, we would be the open relay's front door.
# Postfix refuses the same three to strangers (allow_untrusted_routing, off by default).
_ROUTING_SIGNS = frozenset("%!@")


class RelayDomains:
    """The domains whose mail is taken from anyone, in the forms in which a client may write them."""

    __slots__ = ("_anything", "_domains", "_suffixes")

    def __init__(self, domains: Iterable[str]) -> None:
        """
        Args:
            domains: `example.org` is that one, `.example.org` every domain below it, `[192.0.2.1]` an address literal;
                `*` is everything, which the configuration allows on loopback only. With or without a dot at the end.

        Raises:
            ValueError: an entry is empty.
        """
        exact: set[str] = set()
        suffixes: list[str] = []
        self._anything = False
        for entry in domains:
            domain = entry.lower().removesuffix(".")
            if domain in ("", "."):
                raise ValueError(f"expected a domain, got {entry!r}")
            if domain == "*":
                self._anything = True
            elif domain.startswith("."):
                suffixes += [f".{form}" for form in _forms(domain[1:])]
            else:
                exact.update(_forms(domain))
        self._domains = frozenset(exact)
        self._suffixes = tuple(suffixes)

    def covers(self, canonical_domain: str) -> bool:
        """Whether a domain in canonical form (lower case, no dot at the end) is one of them."""
        if canonical_domain in self._domains or (self._anything and not canonical_domain.startswith("[")):
            return True
        return bool(self._suffixes) and canonical_domain.endswith(self._suffixes)


def relay_check(session: Session, forward_path: Address, relay_domains: RelayDomains) -> Verdict | None:
    """
    Whether this client may have mail taken to that address: None if so, else refuse.

    Ask it at RCPT before the script's own hook. Trusted and logged-in clients may send anywhere. From all others,
    a submission listener takes nothing (530 5.7.0, RFC 6409 §4.3), and other listeners take mail for the relay domains
    and for a bare `postmaster` (RFC 5321 §4.5.1) only (else 550 5.7.1).
    """
    if session.trusted or session.account is not None:
        return None
    if needs_login(session):
        return login_needed(session, forward_path)
    domain = forward_path.canonical_domain
    if not domain:
        return None
    if not relay_domains.covers(domain):
        return noted(session, "relay_check", _DENIED, about=forward_path)
    if asks_for_further_hop(forward_path.local_part):
        return noted(session, "relay_check", _ROUTED, about=forward_path)
    return None


def needs_login(session: Session) -> bool:
    """Whether this client may do nothing before it has logged in (RFC 6409 §4.3)."""
    return session.listener.role == "submission" and not session.trusted and session.account is None


def login_needed(session: Session, forward_path: Address) -> Verdict:
    """The refusal for `needs_login`."""
    return noted(session, "relay_check", _LOGIN_NEEDED, about=forward_path)


def asks_for_further_hop(local_part: str) -> bool:
    """Whether some host could read *local_part* as an address of its own: a percent hack, a bang path, a quoted `@`."""
    if local_part.isascii():
        return not _ROUTING_SIGNS.isdisjoint(local_part)
    # A host that normalises (RFC 6531 §3.1 has it use NFC or NFKC) reads the full-width signs as the plain ones.
    return not _ROUTING_SIGNS.isdisjoint(unicodedata.normalize("NFKC", local_part))


def _forms(domain: str) -> set[str]:
    """
    The A-label and the U-label form of a configured domain (RFC 5890 §2.3.2.1).

    Only the configured name is converted; what a client writes is compared as it is. So a name that something folds
    onto ours (`strasse` for `straße`, full-width letters) is not ours.
    """
    try:
        name = canonical_name(domain)
        return {domain, name, readable_name(name)}
    except ValueError:
        return {domain}  # an address literal: itself and nothing else
