"""[directory], [mailboxes] and [forwarding]: whose mail is here, where it is kept, and how it goes on to others."""

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
        Literal["sqlite", "file", "ldap", "none"],
        Option(
            'Where entries come from. "sqlite" is a database that `pymta domain`, `pymta account` and `pymta alias` '
            'change while the server runs; empty, it changes nothing. "file" is a TOML file that is read at the start and at a reload. "none" has no '
            "directory.",
            reader="app.directory",
        ),
    ] = "sqlite"
    file: Annotated[
        Path | None,
        Option(
            "The database, which is made where it does not exist, or the TOML file, which must be there.",
            reader="directory.sqlite, directory.file",
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
            default="nobody: give each domain a postmaster then; without a domain it is refused",
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
    over_quota: Annotated[
        Literal["refuse", "defer"],
        Option(
            'What becomes of mail that does not fit into an account\'s quota: "refuse" returns it (552 5.2.2), "defer" '
            "tries again until it fits or `queue.lifetime_s` is over (452 4.2.2).",
            reader="deliver.maildir",
            rfc="3463 §3.3",
            precedent="Dovecot quota_full_tempfail is no",
        ),
    ] = "refuse"
    detail_folder: Annotated[
        Literal["inbox", "existing", "made"],
        Option(
            'Where mail for user+detail goes: into the "inbox"; into the folder that the detail names, where it is '
            '"existing"; or into that folder, "made" where it is missing. A detail that is no name for a folder, and '
            "one beyond ASCII, is for the inbox.",
            reader="deliver.maildir",
            rfc="5233",
            precedent="Dovecot lmtp_save_to_detail_mailbox, lda_mailbox_autocreate",
        ),
    ] = "inbox"


class ForwardingSettings(Section, frozen=True, kw_only=True):
    """Mail that an alias sends on to other domains."""

    srs: Annotated[
        bool,
        Option(
            "Whether it leaves with a reverse-path of ours that leads back (SRS), so that next hops which check SPF "
            "take it. Needs MX records of our domains to point here.",
            reader="directory.srs",
            precedent="Exim srs_encode",
        ),
    ] = True
    srs_days_max: Annotated[
        Annotated[int, Meta(ge=1, le=365)],
        Option(
            "For how many days such an address leads back.", reader="directory.srs", precedent="libsrs2: 21"
        ),
    ] = 21
    srs_secret_file: Annotated[
        Path | None,
        Option(
            "The secret that they are signed with. Made, for its owner only, where it does not exist; hosts that "
            "forward for the same domains share it.",
            reader="directory.srs",
            default="`srs.key` in `server.data_folder`",
        ),
    ] = None
