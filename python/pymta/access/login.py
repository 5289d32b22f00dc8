"""
Logging in to read mail, by SASL or by name and password: what `pymta.auth` finds out, said in the protocol's words, and
written into the log.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from pymta.auth.login import Ask, Attempt, Caller, Challenge, LoggedIn, Logins, Opinion, Outcome, Rejected
from pymta.auth.sasl import Channel
from pymta.directory import Answered, settled
from pymta.mail.secret import Secret
from pymta.mail.verdict import Verdict
from pymta.observe.events import Auth
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.policy.pipeline import Answer, Policy
from pymta.policy.session import Credentials, Session

__all__ = ["Login", "Refused", "Replies"]

Hook: TypeAlias = Callable[[Session, Credentials], Answer]


class Refused(NamedTuple):
    """What the client is told."""

    text: str
    code: str | None = None


Replies: TypeAlias = Mapping[Literal["malformed", "failed", "banned", "busy"], Refused]
"""How a protocol says why somebody is not let in."""

# USER and PASS of POP3, LOGIN of IMAP. The log says which; LOGIN is a mechanism of SASL, too.
WITHOUT_SASL: Final = ("USER", "LOGIN command")

_NOT_EMPTY: Final = Rejected("malformed", "more than nothing after the server's proof")


class Login:
    """One attempt."""

    def __init__(
        self,
        mechanism: str,
        channel: Channel,
        replies: Replies,
        logins: Logins,
        policy: Policy,
        view: Session,
        log: Log,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            mechanism: Of SASL; one of `WITHOUT_SASL` for names and passwords that come without it.
            channel: What the connection vouches for.
            replies: The protocol's.
            logins: Where it is found out.
            policy: The script, which may know better.
            view: The session; gets the account.
            log: Told how it ended.
            metrics: Count it.
        """
        self._mechanism = mechanism
        self._replies = replies
        self._policy = policy
        self._view = view
        self._log_to = log
        self._metrics = metrics
        self._proven: LoggedIn | None = None
        caller = Caller(
            peer_address=view.peer_address,
            channel=channel,
            ask_password=None if policy.on_auth is None else self._ask(policy.on_auth),
            ask_token=None if policy.on_token is None else self._ask(policy.on_token),
        )
        attempt = logins.begin("PLAIN" if mechanism in WITHOUT_SASL else mechanism, caller)
        assert attempt is not None, "only what is offered gets here"
        self._attempt: Attempt = attempt

    async def with_password(self, account: str, password: bytes) -> bytes | LoggedIn | Refused:
        """A name and a password are PLAIN in another form."""
        return await self._said(self._attempt.start(b"\0%b\0%b" % (account.encode(), password)))

    async def start(self, initial: bytes | None) -> bytes | LoggedIn | Refused:
        """SASL: a challenge, who it is, or why not."""
        return await self._said(self._attempt.start(initial))

    async def respond(self, response: bytes) -> bytes | LoggedIn | Refused:
        """After a challenge."""
        if self._proven is not None:
            return self._rejected(_NOT_EMPTY) if response else self._logged_in(self._proven)
        return await self._said(self._attempt.respond(response))

    def cancelled(self, cause: str = "") -> None:
        """It ends without an answer of ours."""
        if self._attempt.rejected is None:
            self._log("cancelled", cause, "")
        else:
            self._rejected(self._attempt.rejected)

    async def _said(self, answer: Answered[Outcome]) -> bytes | LoggedIn | Refused:
        outcome = await settled(answer)
        match outcome:
            case Challenge():
                return outcome.octets
            case LoggedIn() if outcome.proof:
                self._proven = outcome
                return outcome.proof
            case LoggedIn():
                return self._logged_in(outcome)
        assert isinstance(outcome, Rejected), "the rest of them"
        return self._rejected(outcome)

    def _logged_in(self, outcome: LoggedIn) -> LoggedIn | Refused:
        if outcome.account is None:
            # A script vouched for somebody who has no mailbox here.
            return self._rejected(Rejected("failed", "not an account of the directory", outcome.name))
        self._view.account, self._view.identity = outcome.name, outcome.account
        self._log("ok", "", outcome.name)
        return outcome

    def _rejected(self, outcome: Rejected) -> Refused:
        cause = f"{outcome.cause}; {outcome.ban}" if outcome.ban else outcome.cause
        self._log("banned" if outcome.kind == "banned" else "failed", cause, outcome.account)
        return self._replies[outcome.kind]

    def _ask(self, hook: Hook) -> Ask:
        async def ask(mechanism: str, account: str, secret: Secret, authorization: str) -> Opinion:
            answer = hook(self._view, Credentials(mechanism, account, secret, authorization))
            verdict: Verdict | None = await answer if inspect.iscoroutine(answer) else answer  # type: ignore[assignment] # no coroutine, so a verdict or None
            if verdict is None:
                return Opinion("nothing")
            return Opinion(
                "accept" if verdict.action == "accept" else "refuse", verdict.reason or verdict.action
            )

        return ask

    def _log(self, outcome: Literal["ok", "failed", "cancelled", "banned"], cause: str, account: str) -> None:
        self._metrics.logins.add(outcome)
        view = self._view
        self._log_to.emit(
            Auth(
                sid=view.id,
                peer=view.peer_address,
                mechanism=self._mechanism,
                account=account,
                outcome=outcome,
                cause=cause,
            )
        )
