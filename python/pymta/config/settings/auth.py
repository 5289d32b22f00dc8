"""[auth]: how clients log in, and what stops those who guess."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pymta.config.option import (
    GIB,
    HOUR,
    MIB,
    MINUTE,
    Count,
    CountOrNone,
    Option,
    Seconds,
    SecondsOrNone,
    Section,
)
from pymta.config.values import Network

Mechanism = Literal[
    "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "EXTERNAL"
]


class AuthSettings(Section, frozen=True, kw_only=True):
    """
    How clients log in, and what stops those who guess. Accounts are in [directory]; a policy script with an `auth` hook
    decides about passwords instead.
    """

    mechanisms: Annotated[
        tuple[Mechanism, ...],
        Option(
            "What is announced, where it can work: SCRAM needs accounts with passwords stored for it (see `scram`), -PLUS "
            "and EXTERNAL need TLS, OAUTHBEARER and XOAUTH2 a policy script with a `token` hook.",
            reader="auth",
            rfc="4616, 5802, 7677, 5929, 7628, 4422",
            default="all of them",
        ),
    ] = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL")
    in_the_clear: Annotated[
        Literal["never", "loopback"],
        Option(
            'Whether a client may log in without TLS: "loopback" lets one on this host.',
            reader="auth",
            rfc="8314 §3, 4954 §9",
            precedent="Postfix smtpd_tls_auth_only",
        ),
    ] = "never"
    scram: Annotated[
        bool,
        Option(
            "Whether a new password is stored for SCRAM, too. Whoever steals the directory can try passwords against that "
            "form with less memory than against argon2id.",
            reader="auth",
            rfc="5802 §9",
        ),
    ] = True
    scram_iterations: Annotated[
        Annotated[int, Meta(ge=4096, le=10_000_000)],
        Option(
            "What a client computes at each SCRAM login, for new passwords.", reader="auth", rfc="7677 §4"
        ),
    ] = 50_000
    hash_memory_octets: Annotated[
        Annotated[int, Meta(ge=1 * MIB, le=4 * GIB)],
        Option(
            "Memory of one argon2id, for new passwords. A login with an older one stores it anew.",
            reader="auth",
            rfc="9106 §4",
            precedent="OWASP: 19 MiB with two passes",
        ),
    ] = 19 * MIB
    hash_passes: Annotated[
        Annotated[int, Meta(ge=1, le=100)],
        Option("Passes of one argon2id, for new passwords.", reader="auth", rfc="9106 §4"),
    ] = 2
    verifying_max: Annotated[
        Annotated[int, Meta(ge=1, le=64)],
        Option(
            "Passwords verified at once, each in a thread of low priority and with the memory of its hash.",
            reader="auth.verifier",
        ),
    ] = 2
    waiting_max: Annotated[
        Count,
        Option("Logins that may wait to be verified; more get 454 4.7.0.", reader="auth.verifier"),
    ] = 500
    remember_s: Annotated[
        SecondsOrNone,
        Option(
            "A password that was right is right again without hashing for so long, unless it is changed. 0 for never.",
            reader="auth.verifier",
            precedent="Dovecot auth_cache_ttl is 1 hour",
        ),
    ] = 60
    failures_per_address_max: Annotated[
        CountOrNone,
        Option(
            "Failed logins from one address (of IPv6, a /64) within `failures_s`, after which it is banned for `ban_s`. 0 "
            "for no ban.",
            reader="auth.guard",
            precedent="fail2ban maxretry is 5",
        ),
    ] = 20
    failures_per_account_max: Annotated[
        CountOrNone,
        Option(
            "Failed logins to one account within `failures_s`, after which addresses from which it never logged in are "
            "refused for `ban_s`. 0 for no ban.",
            reader="auth.guard",
        ),
    ] = 50
    failures_s: Annotated[
        Seconds, Option("How long a failed login counts.", reader="auth.guard", precedent="fail2ban findtime")
    ] = 10 * MINUTE
    ban_s: Annotated[
        Seconds,
        Option(
            "How long a ban lasts: logins get 454 4.7.0 without being looked at.",
            reader="auth.guard",
            precedent="fail2ban bantime is 10 minutes",
        ),
    ] = HOUR // 4
    delay_s_max: Annotated[
        SecondsOrNone,
        Option(
            "The answer to a failed login comes after 1 s, doubled with each failure from that address up to this. 0 for "
            "no delay.",
            reader="auth.guard",
            rfc="4954 §4",
            precedent="Dovecot auth_failure_delay is 2 s",
        ),
    ] = 8
    never_banned_networks: Annotated[
        tuple[Network, ...],
        Option(
            "Addresses that are never banned nor delayed: a web mail on another host, say.",
            reader="auth.guard",
            example='["192.0.2.10"]',
        ),
    ] = ()
