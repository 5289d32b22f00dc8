"""
RCPT: whether an address exists, where it is ours to know; else whether the client may relay there (relay.py).

A local failure is a refusal here, never a bounce later, whoever the client is: also at submission.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeAlias

from pymta._core import Address, Reply
from pymta.directory import Account, Directory, Resolution
from pymta.mail.errors import TemporaryFailure
from pymta.mail.verdict import Verdict
from pymta.policy.checks.noted import noted
from pymta.policy.checks.relay import RelayDomains, login_needed, needs_login, relay_check
from pymta.policy.session import Session

__all__ = ["recipient_check", "why_no_room"]

_REFUSED: Final = {
    "unknown": Verdict("refuse", Reply(550, "5.1.1", "no such address here"), "not in the directory"),
    "suspended": Verdict("refuse", Reply(550, "5.2.1", "address disabled"), "suspended"),
    "loop": Verdict("refuse", Reply(550, "5.4.6", "address leads back to itself"), "aliases in a loop"),
}
_SOURCE_FAILED: Final = "the directory cannot be asked"


WhyFull: TypeAlias = Callable[[Account], Reply | None]
"""What is said where a message does not fit into an account's mailbox; None where it does."""


def recipient_check(
    session: Session,
    forward_path: Address,
    relay_domains: RelayDomains,
    directory: Directory,
    why_full: WhyFull = lambda account: None,
) -> Verdict | Coroutine[Any, Any, Verdict | None] | None:
    """
    Whether mail from this client to that address is taken; None if so.

    For an address of a domain of ours: 550 5.1.1 where there is none, 5.2.1 where it is suspended, 5.4.6 where its
    aliases lead in circles, what *why_full* says where nobody has room, 451 4.3.0 where the directory cannot be asked.
    For any other, `relay_check`.
    """
    if needs_login(session):
        return login_needed(session, forward_path)
    try:
        answer = directory.resolve(forward_path)
    except TemporaryFailure as error:
        return _failed(session, forward_path, error)
    if isinstance(answer, Resolution):
        return _judged(session, forward_path, answer, relay_domains, why_full)
    assert inspect.iscoroutine(answer)
    return _later(session, forward_path, answer, relay_domains, why_full)


async def _later(
    session: Session,
    forward_path: Address,
    answer: Coroutine[Any, Any, Resolution],
    relay_domains: RelayDomains,
    why_full: WhyFull,
) -> Verdict | None:
    try:
        resolution = await answer
    except TemporaryFailure as error:
        return _failed(session, forward_path, error)
    return _judged(session, forward_path, resolution, relay_domains, why_full)


def _judged(
    session: Session,
    forward_path: Address,
    resolution: Resolution,
    relay_domains: RelayDomains,
    why_full: WhyFull,
) -> Verdict | None:
    status = resolution.status
    if status == "found":
        return _room(session, forward_path, resolution, why_full)
    # RFC 5321 §4.5.1 wants a bare postmaster taken. Where nobody said who that is, it would be returned to whoever the
    # reverse-path names, which a stranger may forge: it is refused like any other address that is not there.
    if status == "not_ours":
        return relay_check(session, forward_path, relay_domains)
    return noted(session, "recipient_check", _REFUSED[status], about=forward_path)


def why_no_room(resolution: Resolution, why_full: WhyFull) -> Reply | None:
    """What is said where nobody has room. Of a group, one is enough: the others' outcome is told when it is known."""
    if resolution.forwards:
        return None
    reply = None
    for delivery in resolution.deliveries:
        reply = why_full(delivery.account)
        if reply is None:
            return None
    return reply


def _room(
    session: Session, forward_path: Address, resolution: Resolution, why_full: WhyFull
) -> Verdict | None:
    reply = why_no_room(resolution, why_full)
    if reply is None:
        return None
    action: Literal["defer", "refuse"] = "defer" if reply.is_temporary else "refuse"
    return noted(session, "recipient_check", Verdict(action, reply, "over quota"), about=forward_path)


def _failed(session: Session, forward_path: Address, error: TemporaryFailure) -> Verdict:
    return noted(
        session,
        "recipient_check",
        Verdict("defer", error.reply, f"{_SOURCE_FAILED}: {error}"),
        about=forward_path,
    )
