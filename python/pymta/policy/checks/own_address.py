"""
An account that submits mail uses its own addresses: in MAIL FROM, and in the fields that readers are shown.

Only for accounts of the directory. Whom a script vouched for, and clients of trusted networks, are that script's and
the operator's affair.
"""

import inspect
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Final

from pymta._core import Address, IncomingMessage, Reply
from pymta.directory import Account, Directory
from pymta.mail.authors import addresses_of
from pymta.mail.errors import TemporaryFailure
from pymta.mail.verdict import Verdict
from pymta.policy.checks.noted import noted
from pymta.policy.session import Session

__all__ = ["author_check", "reverse_path_check"]

_NOT_YOURS: Final = Reply(550, "5.7.1", "that is not an address of yours")
_AUTHOR_NOT_YOURS: Final = Reply(550, "5.7.1", "the author is not an address of yours")
_UNREADABLE: Final = Reply(550, "5.6.0", "the author cannot be read")

CheckAnswer = Verdict | Coroutine[Any, Any, Verdict | None] | None


def reverse_path_check(session: Session, reverse_path: Address | None, directory: Directory) -> CheckAnswer:
    """
    Whether the account may use that reverse-path: None if so, else 550 5.7.1 (RFC 6409 §6.1).

    The null reverse-path is everybody's: a reader's program uses it for notifications (RFC 8098 §3).
    """
    if session.identity is None or reverse_path is None:
        return None
    return _all_own(session, "mail", session.identity, [str(reverse_path)], directory, _NOT_YOURS)


def author_check(session: Session, message: IncomingMessage, directory: Directory) -> CheckAnswer:
    """
    Whether all addresses in From and Sender are the account's own: None if so, else 550 5.7.1, or 5.6.0 for fields that
    cannot be read for sure. A message with two From fields is one that readers show differently.
    """
    if session.identity is None:
        return None
    found: list[str] = []
    for name in ("From", "Sender"):
        values = message.fields(name)
        if len(values) > 1:
            return noted(
                session,
                "own_address",
                Verdict("refuse", _UNREADABLE, f"{len(values)} fields {name}"),
                stage="message",
            )
        try:
            addresses = [address for value in values for address in addresses_of(value)]
            if values and not addresses:
                raise ValueError("nobody is named")
            found += addresses
        except ValueError as error:
            return noted(
                session, "own_address", Verdict("refuse", _UNREADABLE, f"{name}: {error}"), stage="message"
            )
    return _all_own(session, "message", session.identity, dict.fromkeys(found), directory, _AUTHOR_NOT_YOURS)


def _all_own(
    session: Session,
    stage: str,
    account: Account,
    addresses: Iterable[str],
    directory: Directory,
    reply: Reply,
) -> CheckAnswer:
    left = iter(addresses)
    for address in left:
        try:
            answer = directory.may_use(account, address)
        except TemporaryFailure as error:
            return noted(session, "own_address", Verdict("defer", error.reply, str(error)), stage=stage)
        if inspect.iscoroutine(answer):
            return _all_own_later(session, stage, account, address, answer, left, directory, reply)
        if not answer:
            return noted(
                session,
                "own_address",
                Verdict("refuse", reply, f"{address} is not {account.name}'s"),
                stage=stage,
            )
    return None


async def _all_own_later(
    session: Session,
    stage: str,
    account: Account,
    address: str,
    answer: Coroutine[Any, Any, bool],
    left: Iterator[str],
    directory: Directory,
    reply: Reply,
) -> Verdict | None:
    try:
        own = await answer
    except TemporaryFailure as error:
        return noted(session, "own_address", Verdict("defer", error.reply, str(error)), stage=stage)
    if not own:
        return noted(
            session,
            "own_address",
            Verdict("refuse", reply, f"{address} is not {account.name}'s"),
            stage=stage,
        )
    rest = _all_own(session, stage, account, left, directory, reply)
    return await rest if inspect.iscoroutine(rest) else rest  # type: ignore[return-value] # else a verdict or None
