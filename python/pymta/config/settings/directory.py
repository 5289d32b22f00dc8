"""[directory] and [mailboxes]: whose mail is here, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from pymta.config.option import Option, Section
from pymta.config.values import MailAddress


class DirectorySettings(Section, frozen=True, kw_only=True):
    """
    Domains, accounts and aliases of our own. Mail for these domains is accepted from anyone, for addresses that exist.
    """

    source: Annotated[
        Literal["sqlite", "none"],
        Option(
            'Where entries come from. "sqlite" is a database that `pymta domain`, `pymta account` and `pymta alias` '
            'change while the server runs; empty, it changes nothing. "none" has no directory.',
            reader="app.directory",
        ),
    ] = "sqlite"
    file: Annotated[
        Path | None,
        Option(
            "The database. Made, for its owner only, where it does not exist.",
            reader="directory.sqlite",
            default="`directory.db` in `server.data_folder`",
        ),
    ] = None
    detail_delimiters: Annotated[
        Annotated[str, Meta(pattern=r"^[+=_~^-]{0,4}$")],
        Option(
            'What begins the detail of a local part: with "+", mail for user+anything is for user. Each character of '
            "it does; empty for no details.",
            reader="directory",
            rfc="5233 §4",
            precedent="Postfix recipient_delimiter",
        ),
    ] = "+"
    postmaster: Annotated[
        MailAddress | None,
        Option(
            "Where mail for postmaster goes, of each domain that has no such address of its own, and without a domain.",
            reader="directory",
            rfc="5321 §4.5.1",
            default="nobody: give each domain a postmaster then",
            example='"admin@example.org"',
        ),
    ] = None


class MailboxesSettings(Section, frozen=True, kw_only=True):
    """Where accounts' mail is kept."""

    folder: Annotated[
        Path | None,
        Option(
            "The root of all mail folders. Made, for its owner only, where it does not exist.",
            reader="deliver",
            default="`mail` in `server.data_folder`",
            precedent="Postfix virtual_mailbox_base",
        ),
    ] = None
