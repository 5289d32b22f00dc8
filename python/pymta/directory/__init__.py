"""
Whose mail is here: domains, accounts, aliases, and what an address of theirs means.

    Directory      what the stations ask: resolve a forward-path, find an account, may it use that address
    Lookup         what a source of entries must offer: three finders; sqlite/, table.py (also for files)
    identity.py    one canonical form of an address, so that no two spellings are two people

No password is checked here (that is `auth/`), no mail is stored here (`deliver/`), and nothing is decided about a
client (`policy/`).
"""

from pymta.directory.directory import Directory
from pymta.directory.identity import InvalidAddress, canonical_address, canonical_local_part
from pymta.directory.lookup import Answered, AsksPasswords, Lookup, NotKnownYet, asks_passwords, settled
from pymta.directory.nouns import Account, Alias, Domain, LocalDelivery, Password, Resolution
from pymta.directory.table import TableLookup

__all__ = [
    "Account",
    "Alias",
    "Answered",
    "AsksPasswords",
    "Directory",
    "Domain",
    "InvalidAddress",
    "LocalDelivery",
    "Lookup",
    "NotKnownYet",
    "Password",
    "Resolution",
    "TableLookup",
    "asks_passwords",
    "canonical_address",
    "canonical_local_part",
    "settled",
]
