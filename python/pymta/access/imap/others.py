"""
Whose mailboxes a command is about that are not the reader's own: the directory says where they are (RFC 4314).

A view says which names it needs, and only those of accounts that give this reader something, or to which he gives
something; what it is not told of is not there. So who is removed from the directory shares nothing any more, and names
that somebody makes up cost no look-up.
"""

from typing import Final

from pymta._core import ImapAppendEvent, ImapCommand, ImapUrlEvent, ImapView
from pymta.access.imap.mailboxes import Mailboxes
from pymta.directory import Directory, settled
from pymta.mail.errors import TemporaryFailure

__all__ = ["introduce"]

# Of one command. A view asks for no more.
NAMES_MAX: Final = 1_000


async def introduce(
    asked: ImapCommand | ImapAppendEvent | ImapUrlEvent,
    view: ImapView,
    account: str,
    *,
    mailboxes: Mailboxes,
    directory: Directory,
) -> None:
    """Tell the *view* of that *account*'s session of the other accounts that what is *asked* is about."""
    if not asked.about_others:
        return
    names = await mailboxes.call(account, view.others, asked)
    for name in names[:NAMES_MAX]:
        try:
            other = await settled(directory.account(name))
        except TemporaryFailure:
            view.introduce_later(name)
            continue
        if other is None:
            view.introduce(name, None)
            continue
        try:
            view.introduce(
                name,
                other.name,
                other.mail_folder,
                quota_octets=other.quota_octets,
                quota_messages=other.quota_messages,
            )
        except ValueError:  # a folder that leads elsewhere has no mailboxes
            view.introduce(name, None)
