"""[delivery]: how mail is handed to a next hop. When is in [queue], where to in [routing]."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pymta.config.option import HOUR, MINUTE, Count, CountOrNone, Option, Seconds, Section
from pymta.config.values import HostName, SourceAddress

TlsPolicy = Literal["none", "opportunistic", "required", "verified"]


class DeliverySettings(Section, frozen=True, kw_only=True):
    """Connections to next hops: how many, how fast, how long to wait, and TLS."""

    hello_name: Annotated[
        HostName | None,
        Option(
            "What we call ourselves in EHLO.",
            reader="deliver.smtp",
            rfc="5321 §4.1.1.1",
            default="`server.hostname`",
        ),
    ] = None
    source_addresses: Annotated[
        tuple[SourceAddress, ...],
        Option(
            "Addresses of this host to send from, at most one of each family. A policy can choose others.",
            reader="deliver.smtp",
            precedent="Postfix smtp_bind_address",
            default="the system's choice",
            example='["192.0.2.25", "2001:db8::25"]',
        ),
    ] = ()
    tls: Annotated[
        TlsPolicy,
        Option(
            '"opportunistic" uses TLS where it is announced and goes on without where the handshake fails; '
            '"required" defers then; "verified" also checks the certificate against `ca_file` and the name '
            "of the next hop.",
            reader="deliver.tls_policy",
            rfc="3207, 7435",
            precedent="Postfix smtp_tls_security_level: none, may, encrypt, secure",
        ),
    ] = "opportunistic"
    ca_file: Annotated[
        Path | None,
        Option(
            "Certificates of authorities to trust, in PEM.",
            reader="deliver.tls_policy",
            default="those of the system",
            precedent="Postfix smtp_tls_CAfile",
        ),
    ] = None
    connections_max: Annotated[
        Count, Option("How many connections to next hops may be open in all.", reader="deliver.pool")
    ] = 1_000
    connections_per_site_max: Annotated[
        Count,
        Option(
            "How many of them to one site, which is the set of MX hosts behind a domain. The number in use "
            "grows with success up to this and halves on 421 and on connections that fail.",
            reader="queue.shaping",
            precedent="Postfix default_destination_concurrency_limit is 20",
        ),
    ] = 20
    connections_per_site_start: Annotated[
        Count,
        Option(
            "How many connections a site that we know nothing of gets at first.",
            reader="queue.shaping",
            precedent="Postfix initial_destination_concurrency is 5",
        ),
    ] = 5
    ready_max: Annotated[
        Count,
        Option(
            "How many messages may be in hand for one site; more of them go back to the schedule.",
            reader="queue.site",
            precedent="KumoMTA max_ready",
        ),
    ] = 10_000
    messages_per_connection_max: Annotated[
        Count,
        Option(
            "After so many messages a connection is closed and another opened.",
            reader="deliver.pool",
            precedent="Exim connection_max_messages is 500",
        ),
    ] = 1_000
    messages_per_site_per_min_max: Annotated[
        CountOrNone,
        Option(
            "How many messages a minute a site gets; 0 is no limit.",
            reader="queue.shaping",
            precedent="Postfix default_destination_rate_delay, KumoMTA max_message_rate",
        ),
    ] = 0
    recipients_per_transaction_max: Annotated[
        Count,
        Option(
            "More recipients than this go in another transaction.",
            reader="deliver.smtp",
            rfc="5321 §4.5.3.1.8 (a server must take 100)",
            precedent="Postfix default_destination_recipient_limit is 50",
        ),
    ] = 100
    suspend_after_failures: Annotated[
        Count,
        Option(
            "After so many connections in a row that failed, nothing is tried at the site for a while.",
            reader="queue.shaping",
            precedent="Postfix default_destination_concurrency_failed_cohort_limit is 1",
        ),
    ] = 3
    suspend_s_min: Annotated[
        Seconds, Option("How long at first; twice as long each time after.", reader="queue.shaping")
    ] = 1 * MINUTE
    suspend_s_max: Annotated[Seconds, Option("How long at most.", reader="queue.shaping")] = 1 * HOUR
    idle_s_max: Annotated[
        Seconds,
        Option(
            "How long a connection without work is kept open.",
            reader="deliver.pool",
            precedent="Postfix connection_cache_ttl_limit is 2 s, KumoMTA idle_timeout 5 s",
        ),
    ] = 5
    connect_s_max: Annotated[
        Seconds,
        Option(
            "How long opening a connection may take.",
            reader="deliver.smtp",
            precedent="Postfix smtp_connect_timeout is 30 s",
        ),
    ] = 30
    tls_handshake_s_max: Annotated[
        Seconds,
        Option(
            "How long a TLS handshake may take.",
            reader="deliver.smtp",
            precedent="Postfix smtp_starttls_timeout is 300 s",
        ),
    ] = 60
    greeting_s_max: Annotated[
        Seconds,
        Option("How long to wait for the 220 greeting.", reader="deliver.smtp", rfc="5321 §4.5.3.2.1"),
    ] = 5 * MINUTE
    command_s_max: Annotated[
        Seconds,
        Option(
            "How long to wait for the reply to EHLO, STARTTLS, MAIL and RCPT.",
            reader="deliver.smtp",
            rfc="5321 §4.5.3.2.2, §4.5.3.2.3",
        ),
    ] = 5 * MINUTE
    data_s_max: Annotated[
        Seconds, Option("How long to wait for 354.", reader="deliver.smtp", rfc="5321 §4.5.3.2.4")
    ] = 2 * MINUTE
    content_s_max: Annotated[
        Seconds,
        Option(
            "How long the next hop may take to read some of the content.",
            reader="deliver.smtp",
            rfc="5321 §4.5.3.2.5",
        ),
    ] = 3 * MINUTE
    final_s_max: Annotated[
        Seconds,
        Option(
            "How long to wait for the reply to the end of the content. Giving up sooner makes duplicates.",
            reader="deliver.smtp",
            rfc="5321 §4.5.3.2.6",
        ),
    ] = 10 * MINUTE
    quit_s_max: Annotated[
        Seconds,
        Option(
            "How long to wait for the reply to QUIT.",
            reader="deliver.smtp",
            precedent="Postfix smtp_quit_timeout is 300 s",
        ),
    ] = 5
