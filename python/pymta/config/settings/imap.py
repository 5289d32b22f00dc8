"""[imap]: what sessions may use that read mail by IMAP. The limits of connections, of failed logins and of replies that
nobody reads are those of [limits], the size of a message that is appended too."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pymta.config.option import DAY, MINUTE, Count, Option, Section


class ImapDoorSettings(Section, frozen=True, kw_only=True):
    """Listeners of the role imap."""

    idle_s_max: Annotated[
        Annotated[int, Meta(ge=30 * MINUTE, le=DAY)],
        Option(
            "How long a client that has logged in may say nothing, unless it waits for mail with IDLE. Then it is logged out.",
            reader="access.imap.driver",
            rfc="9051 §5.4 (at least 1800)",
        ),
    ] = 30 * MINUTE
    login_s_max: Annotated[
        Annotated[int, Meta(ge=10, le=10 * MINUTE)],
        Option(
            "How long a client may take to log in. Then the connection is closed.",
            reader="access.connection",
            precedent="Dovecot: 180 s",
        ),
    ] = 2 * MINUTE
    compress: Annotated[
        bool,
        Option(
            "Whether clients may have the connection compressed (COMPRESS=DEFLATE). One that does costs a third of a MiB of "
            "memory as long as it is connected, and mail is mostly compressed to a third.",
            reader="access.imap.door",
            rfc="4978",
            precedent="Dovecot imap_zlib and mox: off",
        ),
    ] = False
    shared_mailboxes: Annotated[
        bool,
        Option(
            "Whether accounts may share mailboxes with each other (ACL), and see below `Other Users/` what others share with "
            "them. Where it is off, rights that were given stay written down and are not heeded.",
            reader="access.imap.door",
            rfc="4314",
        ),
    ] = True
    share_with_anyone: Annotated[
        bool,
        Option(
            "Whether an account may share mailboxes with every other account of the server (the identifier `anyone`), in whose "
            "lists they then are, wanted or not. Where it is off, what was given to `anyone` is not heeded.",
            reader="access.imap.mailboxes",
            rfc="4314 §2",
            precedent="Dovecot acl_anyone: off",
        ),
    ] = False
    full_text: Annotated[
        bool,
        Option(
            "Whether the texts of mailboxes that are in use are kept for searches, so that SEARCH of BODY and TEXT need not read "
            "every message. They take about half the room of the texts themselves, and a millisecond of a processor for each "
            "message, once. What a search finds is the same. Needs a restart.",
            reader="app.readers",
            precedent="Dovecot, Cyrus: off until configured",
        ),
    ] = False
    still_here_s: Annotated[
        Annotated[int, Meta(ge=1, le=29 * MINUTE)],
        Option(
            "How often a client that waits with IDLE is told that we are still here, where there is nothing else to tell, so "
            "that no router in between forgets the connection. Each time wakes a telephone.",
            reader="access.imap.driver",
            precedent="Dovecot imap_idle_notify_interval: 120 s",
        ),
    ] = 4 * MINUTE
    sessions_per_account_max: Annotated[
        Count,
        Option(
            "How many sessions an account may have at a time, in all workers together. A program on a desk has about five.",
            reader="access.imap.driver",
            precedent="Dovecot mail_max_userip_connections: 10 an address",
        ),
    ] = 60
