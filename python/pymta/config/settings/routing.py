"""[routing] and [[routes]]: where mail goes. How it is handed over there is in [delivery]."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pymta.config.option import Count, Option, Section
from pymta.config.settings.delivery import TlsPolicy
from pymta.config.values import DomainPattern, NextHop

Transport = Literal["smtp", "lmtp", "pipe", "mbox", "discard"]
Port = Annotated[int, Meta(ge=1, le=65535)]


class RoutingSettings(Section, frozen=True, kw_only=True):
    """Where mail goes that no [[routes]] table is for."""

    smarthosts: Annotated[
        tuple[NextHop, ...],
        Option(
            "Next hops for all other mail, tried in this order. Their names are looked up for addresses, "
            "not for MX.",
            reader="route.smarthost",
            precedent="Postfix relayhost, Exim manualroute",
            default="none: MX records of the domain",
            example='["smtp.example.net:587", "192.0.2.25"]',
        ),
    ] = ()
    mx_port: Annotated[
        Port,
        Option(
            "The port of hosts found by MX.",
            reader="route.mx",
            rfc="5321 §4.5.4.2",
            precedent="for tests and labs",
        ),
    ] = 25
    mx_hosts_max: Annotated[
        Count,
        Option(
            "How many MX hosts of a domain are looked at, best preference first.",
            reader="route.mx",
            rfc="5321 §5.1",
            precedent="Exim hosts_max_try_hardlimit is 50, Postfix smtp_mx_address_limit 5",
        ),
    ] = 20
    addresses_max: Annotated[
        Count,
        Option(
            "How many addresses are tried for one message and domain in one attempt.",
            reader="route.mx",
            rfc="5321 §5.1 (at least two)",
            precedent="Postfix smtp_mx_address_limit is 5",
        ),
    ] = 5
    address_families: Annotated[
        Literal["both", "ipv4", "ipv6"],
        Option(
            "Which addresses of a host are used.",
            reader="route.mx",
            rfc="5321 §5.2",
            precedent="Postfix inet_protocols",
        ),
    ] = "both"


class RouteSettings(Section, frozen=True, kw_only=True):
    """The route of some domains. The first table whose pattern matches is taken."""

    domain: Annotated[
        DomainPattern,
        Option(
            'Which: "example.org", ".example.org" (every domain below it) or "*".',
            reader="route",
            example='"example.org"',
        ),
    ]
    transport: Annotated[
        Transport,
        Option(
            'How: "smtp" and "lmtp" to a host, "pipe" to a program and "mbox" into a file of this one; "discard" takes '
            "mail and forgets it, with a line in the log. Mail of the directory's domains needs no route.",
            reader="route, deliver",
            rfc="5321, 2033",
            precedent="Postfix transport(5)",
        ),
    ] = "smtp"
    next_hops: Annotated[
        tuple[NextHop, ...],
        Option(
            "Tried in this order. Needed for LMTP, without effect for discard.",
            reader="route.smarthost",
            default="MX records of the domain",
            example='["mx.internal.example:24"]',
        ),
    ] = ()
    tls: Annotated[
        TlsPolicy | None,
        Option("As `delivery.tls`, for this route.", reader="deliver.tls_policy", default="`delivery.tls`"),
    ] = None
    port: Annotated[
        Port | None,
        Option(
            "The port of next hops that are written without one, or of those found by MX.",
            reader="route",
            default="25, or 24 for LMTP",
        ),
    ] = None
    command: Annotated[
        tuple[str, ...],
        Option(
            "The program of a pipe, with its path, and its arguments; it gets the message on its standard input, once for "
            "each recipient. No shell is involved. {reverse_path}, {forward_path}, {local_part}, {domain} and {spool_id} "
            'stand for what they say; an address that would be an option is refused unless "--" is before it. Its exit '
            "status is one of sysexits.h: 65 to 69, 73 and 77 return the message, others but 0 have it tried again.",
            reader="deliver.pipe",
            default="none; needed for pipe",
            precedent="Postfix pipe(8)",
            example='["/usr/bin/procmail", "-m", "/etc/procmailrc", "{forward_path}"]',
        ),
    ] = ()
    file: Annotated[
        str | None,
        Option(
            "The file of an mbox, with its path. {local_part} and {domain} stand for the recipient's, made harmless.",
            reader="deliver.mbox",
            default="none; needed for mbox",
            precedent="Postfix mail_spool_directory",
            example='"/var/mail/{local_part}"',
        ),
    ] = None
