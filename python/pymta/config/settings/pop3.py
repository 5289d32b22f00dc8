"""[pop3]: what sessions may use that read mail by POP3. The limits of connections, of failed logins and of replies that
nobody reads are those of [limits]."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pymta.config.option import DAY, KIB, MINUTE, Count, Option, Section


class Pop3DoorSettings(Section, frozen=True, kw_only=True):
    """Listeners of the role pop3."""

    idle_s_max: Annotated[
        Annotated[int, Meta(ge=10 * MINUTE, le=DAY)],
        Option(
            "How long a client that has logged in may say nothing. Then the connection is closed, and nothing is deleted.",
            reader="access.pop3.driver",
            rfc="1939 §3 (at least 600)",
        ),
    ] = 10 * MINUTE
    login_s_max: Annotated[
        Annotated[int, Meta(ge=10, le=10 * MINUTE)],
        Option(
            "How long a client may take to log in. Then the connection is closed.",
            reader="access.connection",
            precedent="Dovecot: 180 s",
        ),
    ] = 2 * MINUTE
    login_delay_s: Annotated[
        Annotated[int, Meta(ge=0, le=DAY)],
        Option(
            "How long after a login the next one of the same account is taken; announced as LOGIN-DELAY. 0 is at once, and "
            "not announced.",
            reader="access.pop3.door",
            rfc="2449 §6.5",
        ),
    ] = 0
    line_octets_max: Annotated[
        Annotated[int, Meta(ge=255, le=64 * KIB)],
        Option(
            "The longest command, with its CRLF. AUTH has limits.auth_line_octets_max.",
            reader="access.pop3.door",
            rfc="2449 §4 (255)",
        ),
    ] = 255
    commands_before_login_max: Annotated[
        Count,
        Option(
            "Commands of a session before it has logged in; then it ends.",
            reader="access.pop3.door",
            precedent="bounds what a stranger may cost",
        ),
    ] = 50
