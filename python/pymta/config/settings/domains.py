"""[domains]: whose mail is accepted. Where it then goes is in [routing] and [[routes]]."""

from __future__ import annotations

from typing import Annotated

from pymta.config.option import Option, Section
from pymta.config.values import DomainPattern


class DomainsSettings(Section, frozen=True, kw_only=True):
    """Which domains mail is accepted for, from anyone."""

    relay_domains: Annotated[
        tuple[DomainPattern, ...],
        Option(
            'Mail for these domains is accepted from anyone and relayed. ".example.org" means every domain '
            'below it. "*" is accepted only where all listeners are on loopback.',
            reader="accept.relay",
            rfc="5321 §3.6.1",
            precedent="Postfix relay_domains",
            example='["example.org", ".example.org"]',
        ),
    ] = ()
