"""[[listeners]]: the doors that mail comes in by, one table each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pymta.config.option import Count, Option, Section
from pymta.config.settings.limits import LimitsSettings
from pymta.config.values import Endpoint, Network

ListenerName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class ListenerSettings(Section, frozen=True, kw_only=True):
    """One address that mail comes in by, and what is allowed there."""

    name: Annotated[
        ListenerName,
        Option(
            "What it is called in the log: lower-case letters, digits, hyphens, at most 32.",
            reader="accept.listener",
            example='"relay"',
        ),
    ]
    address: Annotated[
        Endpoint,
        Option("The IP address and port to listen on.", reader="accept.listener", example='"127.0.0.1:2525"'),
    ]
    role: Annotated[
        Literal["relay", "submission", "lmtp", "pop3", "imap"],
        Option(
            'What it is for. "relay" takes mail from other servers for domains of ours and `domains.relay_domains`, and from '
            '`trusted_networks` for anywhere. "submission" takes mail from accounts that have logged in, for anywhere; with '
            'tls = "implicit" it is what RFC 8314 calls submissions. "lmtp" is for another server of yours that '
            'delivers into this one; its recipients are checked as those of "relay". "pop3" lets accounts read their mail (RFC 1939; ports 110, and 995 with '
            'tls = "implicit"). "imap" lets them read and keep it on the server (RFC 9051; ports 143, and 993 with tls = "implicit").',
            reader="accept.listener",
            rfc="5321 §2.3.10, 6409, 2033",
        ),
    ] = "relay"
    tls: Annotated[
        Literal["none", "starttls", "implicit"],
        Option(
            '"starttls" announces STARTTLS, "implicit" begins with the handshake.',
            reader="accept.listener",
            rfc="3207, 8314 §3",
        ),
    ] = "none"
    certificate_file: Annotated[
        Path | None,
        Option(
            "The certificate and its chain, in PEM, leaf first. Needed with any TLS.",
            reader="tls",
            precedent="Postfix smtpd_tls_chain_files",
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        Option(
            "The private key, in PEM.",
            reader="tls",
            default="in *certificate_file*",
            precedent="Postfix smtpd_tls_key_file",
        ),
    ] = None
    client_ca_file: Annotated[
        Path | None,
        Option(
            "Ask clients for a certificate, and believe one that is signed by these authorities (PEM): SASL EXTERNAL logs "
            "in the account whose address it is for. One of another authority ends the handshake, none does not.",
            reader="tls",
            rfc="4422 appendix A",
            precedent="Postfix smtpd_tls_ask_ccert",
        ),
    ] = None
    trusted_networks: Annotated[
        tuple[Network, ...],
        Option(
            "Clients in these networks may relay to anywhere. Refused where it would make an open relay.",
            reader="accept.relay",
            precedent="Postfix mynetworks",
            example='["192.0.2.0/24", "2001:db8::/32"]',
        ),
    ] = ()
    normalise_line_endings_networks: Annotated[
        tuple[Network, ...],
        Option(
            "From clients in these networks, a bare CR or LF in content is made CRLF; from all others it is "
            "refused. A line that holds a dot ends the message only between two real CRLFs in either case.",
            reader="accept.listener",
            rfc="5321 §2.3.8",
            precedent="Postfix smtpd_forbid_bare_newline_exclusions",
        ),
    ] = ()
    xclient_networks: Annotated[
        tuple[Network, ...],
        Option(
            "Clients in these networks may say, with XCLIENT, whom they speak for.",
            reader="accept.listener",
            precedent="Postfix smtpd_authorized_xclient_hosts",
        ),
    ] = ()
    proxy_networks: Annotated[
        tuple[Network, ...],
        Option(
            "Connections from these networks must begin with a PROXY header, version 1 or 2, and count as "
            "coming from the address that it names.",
            reader="accept.listener",
            precedent="Postfix smtpd_upstream_proxy_protocol",
        ),
    ] = ()
    backlog_max: Annotated[
        Count,
        Option(
            "How many connections the system may keep waiting to be accepted.",
            reader="accept.listener",
            precedent="Linux net.core.somaxconn",
        ),
    ] = 1024
    limits: Annotated[
        dict[str, int],
        Option(
            "Options of [limits] that are different here.",
            reader="accept.listener",
            default="none",
            example="{ message_octets_max = 10_485_760 }",
        ),
    ] = msgspec.field(default_factory=dict)

    def limits_over(self, limits: LimitsSettings) -> LimitsSettings:
        """
        *limits* with this listener's own over them.

        Raises:
            msgspec.ValidationError: An unknown name or a value out of bounds. Asked once while loading
            (../checks.py),
                so it cannot happen later.
        """
        if not self.limits:
            return limits
        return msgspec.convert({**msgspec.structs.asdict(limits), **self.limits}, LimitsSettings)


def default_listeners() -> tuple[ListenerSettings, ...]:
    """What is listened on where the file names nothing: loopback only, and nobody trusted."""
    return (ListenerSettings(name="relay", address=Endpoint("127.0.0.1", 2525)),)
