"""
One attempt to log in, from the mechanism's name to who it is: what every protocol with AUTH drives.

    logins.begin(mechanism, caller)  →  attempt
    attempt.start(initial response)  →  Answered[Outcome]
    attempt.respond(response)        →  Answered[Outcome]      as long as it is a Challenge

The protocol frames octets and says the final words; here mechanisms ask, and directory, policy and guard answer. A
failed attempt takes its time (`Guard`), and says the same whatever it failed for.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from pymta.auth import sasl
from pymta.auth.guard import Guard
from pymta.auth.verifier import Verifier
from pymta.config.settings.auth import AuthSettings
from pymta.directory import (
    Account,
    Answered,
    Directory,
    InvalidAddress,
    asks_passwords,
    canonical_address,
    settled,
)
from pymta.mail.errors import TemporaryFailure
from pymta.mail.secret import Secret

__all__ = ["Attempt", "Caller", "Challenge", "LoggedIn", "Logins", "Opinion", "Outcome", "Rejected"]

Challenge = sasl.Challenge


class LoggedIn(msgspec.Struct, frozen=True):
    """The end of a good attempt."""

    name: str
    """Who it is: the account's name, or whom policy vouched for."""
    account: Account | None
    """None where policy vouched for somebody who is not in the directory."""
    proof: bytes = b""
    """To be sent before success where the mechanism wants the server to prove itself, too (RFC 4954 §4: as a last 334)."""


class Rejected(msgspec.Struct, frozen=True):
    """The end of any other. `kind` decides what the client is told, `cause` is for the log."""

    kind: Literal["malformed", "failed", "banned", "busy"]
    cause: str
    account: str = ""
    ban: str = ""
    """What ban this failure brought."""


Outcome: TypeAlias = Challenge | LoggedIn | Rejected


class Opinion(msgspec.Struct, frozen=True):
    """What somebody besides the directory says about an offer: let it in, refuse it, or let the directory decide."""

    says: Literal["accept", "refuse", "nothing"]
    cause: str = ""


Ask: TypeAlias = Callable[[str, str, Secret, str], "Answered[Opinion]"]
"""(mechanism, account, password or token, authorization) → an opinion."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who attempts, as far as the connection tells."""

    peer_address: str
    channel: sasl.Channel = sasl.Channel()
    ask_password: Ask | None = None
    """Policy about a password; None where it has no say."""
    ask_token: Ask | None = None
    """Policy about a bearer token: nobody else can tell whether one is good."""


class Logins:
    """What attempts share. One instance for all protocols."""

    def __init__(
        self, settings: AuthSettings, directory: Directory, verifier: Verifier, guard: Guard
    ) -> None:
        """
        Args:
            settings: Which mechanisms.
            directory: Who has accounts.
            verifier: Whose password is right.
            guard: Who has guessed too often.
        """
        self.settings = settings
        self.directory = directory
        self.verifier = verifier
        self.guard = guard

    def mechanisms(
        self, *, tls: bool, end_point: bool, certificate: bool, keys: bool, tokens: bool
    ) -> tuple[str, ...]:
        """
        What can be offered where passwords are taken, in the order of preference.

        Args:
            tls: A connection is encrypted, or can be.
            end_point: A channel binding is known.
            certificate: The client may show a verified certificate.
            keys: Accounts of the directory log in, which may have keys for SCRAM.
            tokens: There is a policy that knows tokens.
        """
        keys = keys and asks_passwords(self.directory.lookup) is None
        possible = {
            "SCRAM-SHA-256-PLUS": keys and end_point,
            "SCRAM-SHA-256": keys,
            "PLAIN": True,
            "LOGIN": True,
            "OAUTHBEARER": tokens and tls,
            "XOAUTH2": tokens and tls,
            "EXTERNAL": certificate,
        }
        wanted = self.settings.mechanisms
        return tuple(name for name in sasl.NAMES if name in wanted and possible[name])

    def begin(self, mechanism: str, caller: Caller) -> "Attempt | None":
        """An attempt with that mechanism; None where we do not have it."""
        made = sasl.begin(mechanism, caller.channel)
        return None if made is None else Attempt(self, made, caller)


class Attempt:
    """One exchange."""

    __slots__ = ("_caller", "_logins", "_mechanism", "rejected")

    def __init__(self, logins: Logins, mechanism: sasl.Mechanism, caller: Caller) -> None:
        self._logins = logins
        self._mechanism = mechanism
        self._caller = caller
        self.rejected: Rejected | None = None
        """Where the client has been told already that it failed, and still has to acknowledge it (RFC 7628 §3.2.3)."""

    @property
    def mechanism(self) -> str:
        """Its name."""
        return self._mechanism.name

    def start(self, initial: bytes | None) -> Answered[Outcome]:
        """Begin, with an initial response where the client sent one."""
        return self._outcome(self._mechanism.start(initial))

    def respond(self, response: bytes) -> Answered[Outcome]:
        """After a challenge."""
        return self._outcome(self._mechanism.respond(response))

    # ---- steps

    def _outcome(self, step: sasl.Step) -> Answered[Outcome]:
        match step:
            case sasl.Challenge():
                return step
            case sasl.Malformed():
                return Rejected("malformed", step.cause)
            case sasl.Failed() if self.rejected is not None:
                return self.rejected
            case sasl.Failed():
                return self._failed(step.account, step.cause)
        return self._looked_up(step)

    async def _looked_up(self, step: sasl.Step) -> Outcome:
        """A step that asks something."""
        logins, caller = self._logins, self._caller
        name = "" if isinstance(step, sasl.CertificateOffered) else step.account  # type: ignore[union-attr] # the rest have one
        banned = logins.guard.why_banned(caller.peer_address, await self._guarded_name(name))
        if banned is not None:
            return Rejected("banned", banned, name)
        try:
            match step:
                case sasl.PasswordOffered():
                    return await self._password(step)
                case sasl.KeysWanted():
                    account = await settled(logins.directory.account(step.account))
                    keys, _ = await logins.verifier.scram_keys(account, step.account)
                    return await settled(self._outcome(self._mechanism.keys(keys)))
                case sasl.TokenOffered():
                    return await self._token(step)
                case sasl.CertificateOffered():
                    return await self._certificate(step)
                case sasl.Proven():
                    return await self._proven(step)
        except TemporaryFailure as error:
            return Rejected("busy", str(error) or type(error).__name__, name)
        raise AssertionError(f"a step that nobody knows: {step}")

    async def _guarded_name(self, name: str) -> str:
        """The name that failures are counted under: one for all spellings, of those whom nobody knows, too."""
        try:
            account = await settled(self._logins.directory.account(name))
        except TemporaryFailure:
            account = None
        if account is not None:
            return account.name
        try:
            return canonical_address(name)
        except InvalidAddress:
            return name

    async def _password(self, step: sasl.PasswordOffered) -> Outcome:
        if self._caller.ask_password is not None:
            answer = self._caller.ask_password(
                self._mechanism.name, step.account, step.password, step.authorization
            )
            opinion = await answer if inspect.iscoroutine(answer) else answer
            assert isinstance(opinion, Opinion)
            if opinion.says == "refuse":
                return await self._failed(step.account, opinion.cause)
            if opinion.says == "accept":
                return await self._vouched(step.account)
        account = await settled(self._logins.directory.account(step.account))
        if not await self._logins.verifier.is_right(account, step.password):
            return await self._failed(step.account, _why(account))
        return await self._admitted(account, step.account, step.authorization)

    async def _token(self, step: sasl.TokenOffered) -> Outcome:
        ask = self._caller.ask_token
        opinion = Opinion("nothing", "token refused: nobody knows tokens")
        if ask is not None and step.account:
            answer = ask(self._mechanism.name, step.account, step.token, "")
            found = await answer if inspect.iscoroutine(answer) else answer
            assert isinstance(found, Opinion)
            opinion = found
        if opinion.says == "accept":
            return await self._vouched(step.account)
        # Counted now: a client that guesses would not stay for the acknowledgement.
        self.rejected = await self._failed(step.account, opinion.cause or "token refused")
        return await settled(self._outcome(self._mechanism.refused()))

    async def _certificate(self, step: sasl.CertificateOffered) -> Outcome:
        for address in step.addresses:
            account = await settled(self._logins.directory.account(address))
            if account is not None and not account.suspended:
                return await self._admitted(account, address, step.authorization)
        return await self._failed(step.addresses[0], "no account of the certificate's addresses")

    async def _proven(self, step: sasl.Proven) -> Outcome:
        account = await settled(self._logins.directory.account(step.account))
        if account is None or account.suspended:
            return await self._failed(step.account, _why(account))
        return await self._admitted(account, step.account, step.authorization, step.proof)

    # ---- ends

    async def _vouched(self, name: str) -> Outcome:
        """Policy lets somebody in; an account that is suspended stays out all the same."""
        account = await settled(self._logins.directory.account(name))
        if account is not None and account.suspended:
            return await self._failed(name, "suspended")
        self._logins.guard.succeeded(self._caller.peer_address, name)
        return LoggedIn(name if account is None else account.name, account)

    async def _admitted(
        self, account: Account | None, name: str, authorization: str, proof: bytes = b""
    ) -> Outcome:
        assert account is not None
        if authorization:
            other = await settled(self._logins.directory.account(authorization))
            if other is None or other.name != account.name:
                return await self._failed(name, "may not act as somebody else")
        self._logins.guard.succeeded(self._caller.peer_address, account.name)
        return LoggedIn(account.name, account, proof)

    async def _failed(self, account: str, cause: str) -> Rejected:
        delay_s, ban = self._logins.guard.failed(self._caller.peer_address, await self._guarded_name(account))
        if delay_s:
            await asyncio.sleep(delay_s)
        return Rejected("failed", cause, account, ban)


def _why(account: Account | None) -> str:
    if account is None:
        return "no such account"
    return "suspended" if account.suspended else "wrong password"
