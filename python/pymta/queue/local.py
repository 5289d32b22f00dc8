"""
Recipients of our own domains: asks the directory what an address stands for, then delivers or sends on.

    one account                      into its mailbox (deliver/maildir.py)
    several, or addresses elsewhere  one more message in the spool, with an outcome for each of them (RFC 5321 §3.9)
    nobody                           a refusal

In the place of a `Site`: it takes deliveries by `put` and concludes them with `attempted`.

Loops: what an alias sends on carries `Delivered-To` with the addresses that it came by, and those are not followed again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from time import monotonic
from typing import Any, Final

from pymta._core import Address, Envelope, QueuedMessage, Recipient, Reply
from pymta.deliver.maildir import MaildirDelivery
from pymta.directory import Directory, InvalidAddress, LocalDelivery, Resolution, canonical_address
from pymta.directory.srs import Srs
from pymta.mail.errors import TemporaryFailure
from pymta.mail.injection import Redistribution
from pymta.queue.observer import QueueObserver
from pymta.queue.round import Delivery
from pymta.queue.site import SiteOwner
from pymta.queue.turns import Turns
from pymta.queue.vacations import Vacations

__all__ = ["LocalSite"]

# Recipients of one message that are worked on in one turn, and of all messages at a time.
PORTION_RECIPIENTS_MAX: Final = 50
IN_HAND_RECIPIENTS_MAX: Final = 500

_REFUSED: Final = {
    "unknown": Reply(550, "5.1.1", "no such address here"),
    "suspended": Reply(550, "5.2.1", "address disabled"),
    "loop": Reply(554, "5.4.6", "address leads back to itself"),
    # It was ours when the message was routed: the next attempt finds where else it goes.
    "not_ours": Reply(451, "4.3.5", "the domain has changed, trying again"),
}
_NOT_STORED: Final = Reply(451, "4.3.0", "could not be sent on, trying again later")


class LocalSite(Turns):
    """See the module. All methods run on the loop's thread."""

    def __init__(
        self,
        directory: Directory,
        maildir: MaildirDelivery,
        *,
        srs: Srs | None,
        send_on: Callable[[Redistribution], Awaitable[str]],
        observer: QueueObserver,
        vacations: Vacations | None = None,
    ) -> None:
        """
        Args:
            directory: Knows what addresses stand for.
            maildir: The accounts' mailboxes.
            srs: Makes the reverse-path of what goes to other domains; None leaves it.
            send_on: Makes a message durable and gives its spool id.
            observer: Told of trouble.
            vacations: Tells authors of accounts that are away.
        """
        super().__init__()
        self._vacations = vacations
        self._directory = directory
        self._maildir = maildir
        self._srs = srs
        self._send_on = send_on
        self._observer = observer
        self._in_hand = 0

    def belong_to(self, owner: SiteOwner) -> None:
        """Who hears what became of each delivery; said before the first `put`."""
        self._owner = owner

    def use_directory(self, directory: Directory, srs: Srs | None) -> None:
        """After a reload."""
        self._directory = directory
        self._srs = srs

    async def close(self) -> None:
        """As `Turns`, and the mailboxes after that."""
        await super().close()
        await asyncio.to_thread(self._maildir.store.close)
        self._maildir.close()

    # ---- taking turns

    def _pump(self) -> None:
        while self._ready and self._in_hand < IN_HAND_RECIPIENTS_MAX:
            portion = self._next_portion(PORTION_RECIPIENTS_MAX)
            self._in_hand += len(portion.recipients)
            _Portion(self, portion).begin()

    def portion_over(self, portion: "_Portion") -> None:
        """All recipients of a portion have a reply."""
        delivery = portion.delivery
        self._in_hand -= len(delivery.recipients)
        took_s = monotonic() - portion.began_s
        # Who was sent on has handed the duty to report to the copy (RFC 3461 §5.2.7.1), who was delivered has not.
        parts = [(portion.outcomes, False), (portion.sent_on, True)]
        given = [(outcomes, passed) for outcomes, passed in parts if outcomes]
        delivery.round.outstanding += len(given) - 1
        for outcomes, passed in given:
            self._owner.attempted(delivery, outcomes, None, dsn_passed=passed, took_s=took_s)
        if not self._closing:
            self._pump()

    # ---- what a portion asks

    def resolve(
        self, forward_path: Address, followed: Collection[str] = ()
    ) -> Resolution | Coroutine[Any, Any, Resolution]:
        """What the address stands for now."""
        return self._directory.resolve(forward_path, followed=followed)

    def trouble(self, what: str, error: BaseException, message: QueuedMessage) -> None:
        """Something of ours went wrong with *message*."""
        self._observer.trouble(what, error, spool_id=message.id)

    def delivered(self, message: QueuedMessage, delivery: LocalDelivery, came_by: tuple[str, ...]) -> None:
        """A message is in its mailbox: whoever wrote it may have to be told something."""
        if self._vacations is not None and self._vacations.is_due(delivery):
            self.spawn(self._tell(self._vacations, message, delivery, came_by))

    async def _tell(
        self, vacations: Vacations, message: QueuedMessage, delivery: LocalDelivery, came_by: tuple[str, ...]
    ) -> None:
        try:
            await vacations.answer(message, delivery, came_by)
        except Exception as error:  # an answer that is missing is no reason to deliver again
            self.trouble("answering for an account that is away", error, message)

    @property
    def maildir(self) -> MaildirDelivery:
        """The accounts' mailboxes."""
        return self._maildir

    async def send_on(self, message: QueuedMessage, index: int, resolution: Resolution) -> Reply:
        """Make the copies for all that recipient *index* stands for durable."""
        envelope, recipient = message.envelope, message.envelope.recipient(index)
        came_by = _came_by(recipient.forward_path, resolution)
        local = [delivery.account.name for delivery in resolution.deliveries]
        ids = []
        for paths, reverse_path in (
            (local, envelope.reverse_path),
            (resolution.forwards, await self._rewritten(envelope.reverse_path, recipient.forward_path)),
        ):
            if paths:
                copy = Redistribution(
                    message,
                    _envelope(envelope, reverse_path, recipient, paths),
                    tuple(("Delivered-To", address) for address in came_by),
                    cause=f"alias {recipient.forward_path}",
                )
                ids.append(await self._send_on(copy))
        count = len(local) + len(resolution.forwards)
        return Reply(250, "2.1.5", f"sent on to {count} as {' and '.join(ids)}")

    async def _rewritten(self, reverse_path: Address | None, forward_path: Address) -> Address | None:
        """The reverse-path for what goes to other domains: one of ours stays, the null one too."""
        if reverse_path is None or self._srs is None or not forward_path.domain:
            return reverse_path
        try:
            ours = self._directory.domain(canonical_address(reverse_path).rpartition("@")[2])
            if asyncio.iscoroutine(ours):
                ours = await ours
        except InvalidAddress:
            ours = None
        return reverse_path if ours is not None else self._srs.forward(reverse_path, forward_path.domain)


class _Portion:
    """Some recipients of one message, until each has a reply."""

    __slots__ = ("_followed", "_left", "_site", "began_s", "delivery", "outcomes", "sent_on")

    def __init__(self, site: LocalSite, delivery: Delivery) -> None:
        self._site = site
        self._left = len(delivery.recipients)
        self._followed: frozenset[str] | None = None
        self.delivery = delivery
        self.began_s = monotonic()
        self.outcomes: list[tuple[int, Reply]] = []
        self.sent_on: list[tuple[int, Reply]] = []

    def begin(self) -> None:
        """Work on all of them."""
        # One reply more than there are: it is the last, so that `portion_over` comes after all have begun.
        self._left += 1
        for index in tuple(self.delivery.recipients):
            self._try(index)
        self._one_less()

    def _try(self, index: int) -> None:
        message = self.delivery.round.message
        try:
            answer = self._resolve(message.envelope.recipient(index).forward_path)
        except TemporaryFailure as error:
            self._failed(index, error, error.reply)
            return
        except Exception as error:  # whatever went wrong, the message must not stay in hand for ever
            self._failed(index, error, _NOT_STORED)
            return
        if isinstance(answer, Resolution):
            self._resolved(index, answer)
        else:
            self._site.spawn(self._resolved_later(index, answer))

    def _resolve(self, forward_path: Address) -> Resolution | Coroutine[Any, Any, Resolution]:
        answer = self._site.resolve(forward_path)
        if not isinstance(answer, Resolution):
            return self._resolve_later(forward_path, answer)
        # Most addresses stand for themselves, and nobody has to look into the header section for them.
        if not answer.via or self.followed.isdisjoint(answer.via):
            return answer
        return self._site.resolve(forward_path, self.followed)

    async def _resolve_later(
        self, forward_path: Address, answer: Coroutine[Any, Any, Resolution]
    ) -> Resolution:
        resolution = await answer
        if not resolution.via or self.followed.isdisjoint(resolution.via):
            return resolution
        again = self._site.resolve(forward_path, self.followed)
        return again if isinstance(again, Resolution) else await again

    @property
    def followed(self) -> frozenset[str]:
        """The addresses that the message came by already, as its Delivered-To fields have them."""
        if self._followed is None:
            self._followed = frozenset(_delivered_to(self.delivery.round.message))
        return self._followed

    async def _resolved_later(self, index: int, answer: Coroutine[Any, Any, Resolution]) -> None:
        try:
            resolution = await answer
        except TemporaryFailure as error:
            self._failed(index, error, error.reply)
        except Exception as error:
            self._failed(index, error, _NOT_STORED)
        else:
            self._resolved(index, resolution)

    def _resolved(self, index: int, resolution: Resolution) -> None:
        if resolution.status != "found":
            self._answered(index, _REFUSED[resolution.status])
        elif len(resolution.deliveries) == 1 and not resolution.forwards:
            self._deliver(index, resolution.deliveries[0], resolution.via)
        else:
            self._site.spawn(self._send_on(index, resolution))

    def _deliver(self, index: int, delivery: LocalDelivery, via: tuple[str, ...]) -> None:
        message = self.delivery.round.message
        is_settled = False

        def settled(reply: Reply) -> None:
            nonlocal is_settled
            is_settled = True
            if reply.is_positive:
                self._site.delivered(message, delivery, via)
            self._answered(index, reply)

        try:
            self._site.maildir.deliver(message, index, delivery, settled)
        except Exception as error:  # likewise
            if is_settled:
                raise
            self._failed(index, error, _NOT_STORED)

    async def _send_on(self, index: int, resolution: Resolution) -> None:
        try:
            reply = await self._site.send_on(self.delivery.round.message, index, resolution)
        except Exception as error:  # the spool is full, the disk cannot be read: tried again
            self._failed(index, error, _NOT_STORED)
            return
        self.sent_on.append((index, reply))
        self._one_less()

    def _failed(self, index: int, error: BaseException, reply: Reply) -> None:
        self._site.trouble("local delivery", error, self.delivery.round.message)
        self._answered(index, reply)

    def _answered(self, index: int, reply: Reply) -> None:
        self.outcomes.append((index, reply))
        self._one_less()

    def _one_less(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._site.portion_over(self)


def _delivered_to(message: QueuedMessage) -> list[str]:
    found = []
    for value in message.fields("Delivered-To"):
        try:
            found.append(canonical_address(value.decode()))
        except ValueError:  # no address, no UTF-8: nothing that we wrote
            continue
    return found


def _came_by(forward_path: Address, resolution: Resolution) -> list[str]:
    """The addresses that led here, the recipient first; a catch-all has no address."""
    aliases = [address for address in resolution.via if not address.startswith("@")]
    return [str(forward_path), *(address for address in aliases if address != str(forward_path))]


def _envelope(
    envelope: Envelope, reverse_path: Address | None, recipient: Recipient, paths: Collection[str | Address]
) -> Envelope:
    """RFC 3461 §5.2.7: what was asked for of the recipient is asked for of all that it stands for."""
    original = recipient.original
    if original is None and recipient.forward_path.is_ascii:
        original = f"rfc822;{recipient.forward_path}"
    recipients = [Recipient(path, notify=recipient.notify, original=original) for path in paths]
    return Envelope(
        reverse_path,
        recipients,
        body=envelope.body,
        smtputf8=envelope.smtputf8,
        ret=envelope.ret,
        envid=envelope.envid,
    )
