"""
What a source of directory entries offers, and how an answer comes that is not there yet.

Most answers are known at once (memory, an embedded database); some must be fetched from another host. So that the
common one costs no task, a question is answered with the value, or with a coroutine that gives it: `Answered`. A
`Lookup` says which by raising `NotKnownYet`; `Directory` fetches and asks again.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from pymta.directory.nouns import Account, Alias, Domain, Password
from pymta.mail.secret import Secret

__all__ = ["Answered", "AsksPasswords", "Lookup", "NotKnownYet", "asks_passwords", "settled"]

T = TypeVar("T")

Answered: TypeAlias = T | Coroutine[Any, Any, T]
"""The value, or a coroutine that gives it; told apart by `inspect.iscoroutine`."""


class NotKnownYet(Exception):
    """Not an error: await `fetch()`, then ask the same again."""

    def __init__(self, fetch: Callable[[], Awaitable[None]]) -> None:
        super().__init__("not known yet")
        self.fetch = fetch


class Lookup(Protocol):
    """
    Finds single entries by their canonical names, never blocking for longer than a read from memory or the page cache.

    A temporary failure of the source (a server that does not answer) is a `TemporaryFailure`.
    """

    def domain(self, name: str) -> Domain | None:
        """The domain of that name."""

    def account(self, name: str) -> Account | None:
        """The account of that name."""

    def alias(self, address: str) -> Alias | None:
        """The alias of that address."""

    def passwords(self, account: str) -> Sequence[Password]:
        """The passwords of an account: its own first, then those for applications. Empty where there is none."""


@runtime_checkable
class AsksPasswords(Protocol):
    """A source that may know whether a password is right without telling what is stored."""

    verifies_passwords: bool
    """Whether it is to be asked: then it tells no stored ones."""

    async def is_password(self, account: str | None, password: Secret) -> bool:
        """
        Whether that is the password of the account of that canonical name; for None no, after as long a way.

        Raises:
            TemporaryFailure: The source does not answer.
        """


def asks_passwords(lookup: Lookup) -> AsksPasswords | None:
    """The source, where it is to be asked about passwords; None where it tells what is stored."""
    return lookup if isinstance(lookup, AsksPasswords) and lookup.verifies_passwords else None


async def settled(answer: Answered[T]) -> T:
    """The value of an answer, waited for where that is needed."""
    if inspect.iscoroutine(answer):
        return cast(T, await answer)
    return cast(T, answer)
