"""
What a directory knows: values, made by a `Lookup` and never changed. All addresses and names in them are canonical.
"""

from typing import Final, Literal

import msgspec

from pymta._core import Address
from pymta.directory.identity import folder_of
from pymta.mail.secret import Secret

__all__ = [
    "QUOTA_MESSAGES_MAX",
    "QUOTA_OCTETS_MAX",
    "Account",
    "Alias",
    "Domain",
    "LocalDelivery",
    "Password",
    "Resolution",
    "Status",
]

QUOTA_OCTETS_MAX: Final = 1 << 50
"""A thousand terabytes: what is more is a slip of the keyboard."""
QUOTA_MESSAGES_MAX: Final = 1 << 31


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A domain whose addresses are ours to know."""

    name: str
    """A-labels in lower case."""
    catch_all: tuple[str, ...] = ()
    """Where mail for an unknown local part goes; empty where it is refused."""
    suspended: bool = False
    """No mail in, no login."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who can log in and has a mail folder; not how (that is `Password`)."""

    name: str
    """Its address, which is its identity: what it logs in with, too."""
    addresses: tuple[str, ...] = ()
    """What it may use in MAIL FROM and From besides its name and its aliases; `@example.org` is a whole domain."""
    quota_octets: int | None = None
    """None for no limit."""
    quota_messages: int | None = None
    """How many messages it may keep; None for no limit."""
    mail_folder: str = ""
    """Below the mailboxes' root; two plain names unless an operator chose another relative path."""
    suspended: bool = False
    """May not log in."""
    receives_mail: bool = True
    """False: mail for it is refused."""

    @property
    def domain(self) -> str:
        """The part after the last `@`."""
        return self.name.rpartition("@")[2]

    def __post_init__(self) -> None:
        if not self.mail_folder:
            msgspec.structs.force_setattr(self, "mail_folder", folder_of(self.name))


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """
    An address that stands for others (RFC 5321 §3.9.1); with several targets it is a group.

    Where its own address is among the targets, the account of that name is meant: forward and keep a copy.
    """

    address: str
    targets: tuple[str, ...]
    members_may_send: bool = False
    """Whether accounts among the targets may use the address in MAIL FROM and From."""


class Password(msgspec.Struct, frozen=True, kw_only=True):
    """One password of an account, as it is stored."""

    label: str
    """Empty for the account's own; else the name of an application password."""
    stored: Secret
    """`$argon2id$…`, `{SCRAM-SHA-256}…`, `{SSHA}…` …: what `auth/` knows how to verify."""


class LocalDelivery(msgspec.Struct, frozen=True):
    """Into which account's mail folder."""

    account: Account
    detail: str = ""
    """What followed the delimiter in `account+detail@domain`; what a script may file by (RFC 5233)."""


Status = Literal["found", "not_ours", "unknown", "suspended", "loop"]


class Resolution(msgspec.Struct, frozen=True):
    """
    What a forward-path stands for.

    found: at least one of *deliveries* and *forwards* is there. not_ours: the domain is not in the directory.
    unknown: the domain is, the address is not. suspended: all that it stands for is. loop: aliases lead nowhere, or
    deeper than is allowed.
    """

    status: Status
    deliveries: tuple[LocalDelivery, ...] = ()
    """Each account once."""
    forwards: tuple[Address, ...] = ()
    """Addresses of other domains, each once."""
    via: tuple[str, ...] = ()
    """The aliases that were followed, in order: for `explain`, and to know whose forward it is."""
