"""
[limits]: what one session, one address and all connections together may use. Each can be overridden by a
listener.

Those of a session are enforced in Rust (rust/pymta-smtp/src/server/limits.rs, the same names), the others by the
listener and by intake; `for_session` says which is which.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from pymta.config.option import HOUR, KIB, MIB, MINUTE, Count, Octets, Option, Seconds, Section

SESSION_LIMITS: Final = (
    "command_line_octets_max",
    "auth_line_octets_max",
    "text_line_octets_max",
    "message_octets_max",
    "recipients_max",
    "transactions_max",
    "commands_max",
    "idle_commands_max",
    "refusals_max",
    "auth_failures_max",
    "violations_max",
)


class LimitsSettings(Section, frozen=True, kw_only=True):
    """Bounds on what clients may use, each with the reply that a client gets who exceeds it."""

    command_line_octets_max: Annotated[
        Annotated[int, Meta(ge=512, le=1 * MIB)],
        Option(
            "The longest command line, with its CRLF. A longer one gets 500 5.5.2. The RFC's 512 are too few for "
            "internationalised addresses with DSN parameters.",
            reader="accept.listener",
            rfc="5321 §4.5.3.1.4, 3461 §4.2",
            precedent="Postfix line_length_limit is 2048",
        ),
    ] = 2 * KIB
    auth_line_octets_max: Annotated[
        Annotated[int, Meta(ge=512, le=1 * MIB)],
        Option(
            "The longest AUTH command or response. A longer one gets 500 5.5.2.",
            reader="accept.listener",
            rfc="4954 §4 (12 288)",
        ),
    ] = 12_288
    text_line_octets_max: Annotated[
        Annotated[int, Meta(ge=1000, le=64 * MIB)],
        Option(
            "The longest line of content, with its CRLF. A longer one gets 550 5.6.0. More than the RFC's 1000, because "
            "mail with longer lines is common and passes on unharmed.",
            reader="accept.listener",
            rfc="5321 §4.5.3.1.6",
            precedent="Exim message_linelength_limit is 998, Postfix folds at 998 when it sends",
        ),
    ] = 64 * KIB
    message_octets_max: Annotated[
        Octets,
        Option(
            "The largest message; announced by SIZE. A larger one gets 552 5.3.4, at MAIL or at its end.",
            reader="accept.listener",
            rfc="1870",
            precedent="Postfix message_size_limit is 10 240 000, Exim 50 M",
        ),
    ] = 64 * MIB
    recipients_max: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)],
        Option(
            "Recipients of one message, announced as RCPTMAX. Each one more gets 452 4.5.3. The RFC asks for at least 100.",
            reader="accept.listener",
            rfc="5321 §4.5.3.1.8, §4.5.3.1.10, 9422",
            precedent="Postfix smtpd_recipient_limit is 1000",
        ),
    ] = 1_000
    transactions_max: Annotated[
        Count,
        Option(
            "Messages of one session, announced as MAILMAX. The next MAIL gets 421 4.7.0.",
            reader="accept.listener",
            rfc="9422",
            precedent="Exim smtp_accept_max_per_connection is 1000",
        ),
    ] = 100_000
    idle_commands_max: Annotated[
        Count,
        Option(
            "Commands that lead nowhere (NOOP, RSET, VRFY ...) since the last message; then 421 4.7.0.",
            reader="accept.listener",
            precedent="Postfix smtpd_junk_command_limit is 100",
        ),
    ] = 100
    refusals_max: Annotated[
        Count,
        Option(
            "MAIL and RCPT refused by policy, and what was pipelined behind them, since the last message; then 421 4.7.0. "
            "Bounds the guessing of addresses.",
            reader="accept.listener",
            precedent="Exim smtp_max_unknown_commands; Haraka limits by plugin",
        ),
    ] = 2_000
    auth_failures_max: Annotated[
        Count,
        Option(
            "Logins that failed in one session; then 421 4.7.0. Bounds the guessing of passwords.",
            reader="accept.listener",
            rfc="4954 §4",
            precedent="Postfix smtpd_hard_error_limit counts them too",
        ),
    ] = 5
    header_octets_max: Annotated[
        Octets,
        Option(
            "The largest header section. A larger one gets 552 5.3.4.",
            reader="accept.intake",
            precedent="Postfix header_size_limit is 102 400, Exim header_maxsize 1 M",
        ),
    ] = 256 * KIB
    header_fields_max: Annotated[
        Count,
        Option(
            "Header fields of one message. More get 554 5.6.0.",
            reader="accept.intake",
            precedent="Haraka max_header_lines is 1000",
        ),
    ] = 1_000
    received_hops_max: Annotated[
        Annotated[int, Meta(ge=2, le=1_000)],
        Option(
            "Received fields that a message may arrive with. More mean a loop: 554 5.4.6.",
            reader="accept.intake",
            rfc="5321 §6.3 (at least 100 is suggested; loops cost less with fewer)",
            precedent="Postfix hopcount_limit is 50",
        ),
    ] = 50
    violations_max: Annotated[
        Count,
        Option(
            "Commands refused for grammar or order, after which the session ends with 421 4.7.0.",
            reader="accept.listener",
            precedent="Postfix smtpd_hard_error_limit is 20",
        ),
    ] = 20
    commands_max: Annotated[
        Count,
        Option(
            "Commands of one session, after which it ends with 421 4.7.0.",
            reader="accept.listener",
            precedent="bounds what one connection may ever cost",
        ),
    ] = 1_000_000
    connections_max: Annotated[
        Count,
        Option(
            "Sessions at once, of all listeners together. One more gets 421 4.3.2.",
            reader="accept.listener",
            precedent="Exim smtp_accept_max is 20, Postfix default_process_limit 100",
        ),
    ] = 20_000
    connections_per_address_max: Annotated[
        Count,
        Option(
            "Sessions at once from one IPv4 address or one IPv6 /64. One more gets 421 4.7.0. Does not "
            "count for `trusted_networks`.",
            reader="accept.listener",
            precedent="Postfix smtpd_client_connection_count_limit is 50",
        ),
    ] = 100
    command_wait_s_max: Annotated[
        Seconds,
        Option(
            "How long a client may be silent between commands. Then 421 4.4.2.",
            reader="accept.driver",
            rfc="5321 §4.5.3.2.7",
            precedent="Postfix smtpd_timeout is 300 s",
        ),
    ] = 5 * MINUTE
    content_wait_s_max: Annotated[
        Seconds,
        Option(
            "How long a client may be silent within content. Then 421 4.4.2.",
            reader="accept.driver",
            rfc="5321 §4.5.3.2.5, §4.5.3.2.6",
        ),
    ] = 10 * MINUTE
    commit_s_max: Annotated[
        Seconds,
        Option(
            "How long a whole message may wait for the disk. Then 451 4.3.0, and so does each MAIL until the disk has "
            "taken what waits. What it takes after that is thrown away, as its client sends it again.",
            reader="accept.intake",
            precedent="clients wait 10 minutes by RFC 5321 §4.5.3.2.6, many of them only 30 s",
        ),
    ] = 20
    output_wait_s_max: Annotated[
        Seconds,
        Option(
            "How long a client may leave our replies unread. Then the connection is cut.",
            reader="accept.driver",
        ),
    ] = 5 * MINUTE
    tls_handshake_s_max: Annotated[
        Seconds,
        Option(
            "How long a TLS handshake may take.",
            reader="accept.driver",
            precedent="Postfix smtpd_starttls_timeout is 300 s",
        ),
    ] = 60
    session_s_max: Annotated[
        Seconds,
        Option(
            "How long a session may last; then 421 4.4.2 at the next command, with IMAP BYE, with POP3 the end.",
            reader="accept.driver, access.connection",
            precedent="Haraka and OpenSMTPD have no such limit, Postfix ends a process after max_use sessions",
        ),
    ] = 24 * HOUR

    def for_session(self) -> dict[str, int]:
        """The limits that `pymta._core.ServerSettings` enforces, by the names that it has for them."""
        return {name: getattr(self, name) for name in SESSION_LIMITS}
