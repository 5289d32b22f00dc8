"""[ldap]: accounts and aliases in an LDAP directory; read only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from pymta.config.option import Option, SecondsOrNone, Section
from pymta.config.values import DomainPattern


class LdapSettings(Section, frozen=True, kw_only=True):
    """
    Accounts and aliases in an LDAP directory, for `directory.source = "ldap"`. Needs the extra `pymta-server[ldap]`.
    """

    url: Annotated[
        str,
        Option(
            "Where it is: ldap://, ldaps:// or ldapi://.",
            reader="directory.ldap",
            rfc="4516",
            example='"ldaps://ldap.example.org"',
        ),
    ] = "ldap://127.0.0.1"
    starttls: Annotated[
        bool, Option("Whether an ldap:// connection is encrypted first.", reader="directory.ldap")
    ] = False
    ca_file: Annotated[
        Path | None,
        Option(
            "The authorities that its certificate may be of, in PEM.",
            reader="directory.ldap",
            default="the system's",
        ),
    ] = None
    bind_dn: Annotated[
        str, Option("Whom to bind as; empty for anonymous.", reader="directory.ldap", default='`""`')
    ] = ""
    bind_password_file: Annotated[
        Path | None,
        Option("A file whose first line is its password.", reader="directory.ldap", default="none"),
    ] = None
    base_dn: Annotated[
        str,
        Option(
            "Below which entries are looked for.",
            reader="directory.ldap",
            example='"ou=people,dc=example,dc=org"',
        ),
    ] = ""
    domains: Annotated[
        tuple[DomainPattern, ...],
        Option(
            "The domains whose addresses are there, exactly.",
            reader="directory.ldap",
            example='["example.org"]',
        ),
    ] = ()
    account_filter: Annotated[
        str,
        Option(
            "Finds the entry of an account; {address} is its address, {local_part} and {domain} its parts, each escaped.",
            reader="directory.ldap",
            rfc="4515",
        ),
    ] = "(&(objectClass=inetOrgPerson)(mail={address}))"
    alias_filter: Annotated[
        str,
        Option(
            "Finds the entry of an alias, in the same way; empty for no aliases.",
            reader="directory.ldap",
            rfc="4515",
            example='"(&(objectClass=nisMailAlias)(cn={address}))"',
        ),
    ] = ""
    targets_attribute: Annotated[
        str, Option("Of an alias: the addresses that it stands for.", reader="directory.ldap")
    ] = "rfc822MailMember"
    verify: Annotated[
        Literal["hash", "bind"],
        Option(
            'How a password is found to be right. "hash": stored ones are read and compared here. "bind": the server is asked, by '
            "a bind as the account's entry, so that nobody need be allowed to read any, and its own rules (locked, ended) hold; "
            "SCRAM is not offered then.",
            reader="directory.ldap",
            rfc="4513 §5.1.3",
            precedent="Dovecot auth_bind",
        ),
    ] = "hash"
    password_attribute: Annotated[
        str,
        Option(
            'Of an account: stored passwords, which we must be allowed to read. Empty for no logins. Not with verify = "bind".',
            reader="directory.ldap",
            rfc="4519 §2.41",
        ),
    ] = "userPassword"  # noqa: S105 - the name of an attribute
    addresses_attribute: Annotated[
        str,
        Option(
            "Of an account: what else it may write mail from. Empty for nothing.", reader="directory.ldap"
        ),
    ] = ""
    quota_attribute: Annotated[
        str, Option("Of an account: its quota in octets. Empty for none.", reader="directory.ldap")
    ] = ""
    remember_s: Annotated[
        SecondsOrNone,
        Option(
            "How long an answer is used; a change is seen after that. 0 asks each time.",
            reader="directory.ldap",
        ),
    ] = 30
    timeout_s: Annotated[
        Annotated[int, Meta(ge=1, le=300)],
        Option("How long an answer may take; then 451 4.3.0.", reader="directory.ldap"),
    ] = 5
    connections_max: Annotated[
        Annotated[int, Meta(ge=1, le=100)],
        Option(
            'Connections to it; as many again for passwords where `verify` is "bind".',
            reader="directory.ldap",
        ),
    ] = 4
