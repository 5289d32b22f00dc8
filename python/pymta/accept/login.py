"""
AUTH in SMTP (RFC 4954): what `pymta.auth` finds out, said in SMTP's words, written into the session and the log.

What is the same in every protocol is there and not here.
"""

import inspect
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from pymta._core import AuthEvent, Reply
from pymta.accept.door import Door
from pymta.auth.login import Ask, Attempt, Caller, Challenge, LoggedIn, Opinion, Outcome, Rejected
from pymta.auth.sasl import Channel
from pymta.directory import Answered
from pymta.mail.secret import Secret
from pymta.mail.verdict import Verdict
from pymta.observe.events import Auth
from pymta.policy.pipeline import Answer, Policy
from pymta.policy.session import Credentials, Session

__all__ = ["LoginStep", "SmtpLogin"]

LoginStep: TypeAlias = bytes | Reply | None
"""A challenge, the reply that refuses, or None for success."""

_REPLIES: Final = {
    "malformed": Reply(501, "5.5.2", "malformed authentication response"),
    "failed": Reply(535, "5.7.8", "authentication credentials invalid"),
    "banned": Reply(454, "4.7.0", "temporary authentication failure, try again later"),
    "busy": Reply(454, "4.7.0", "temporary authentication failure, try again later"),
}
_NO_MECHANISM: Final = Reply(504, "5.5.4", "authentication mechanism not supported")


_NOT_EMPTY: Final = Rejected("malformed", "more than nothing after the server's proof")

Hook: TypeAlias = Callable[[Session, Credentials], Answer]


class SmtpLogin:
    """One AUTH command."""

    __slots__ = ("_attempt", "_channel", "_door", "_mechanism", "_policy", "_proven", "_said", "_view")

    def __init__(self, channel: Channel, door: Door, policy: Policy, view: Session) -> None:
        self._channel = channel
        self._door = door
        self._policy = policy
        self._view = view
        self._attempt: Attempt | None = None
        self._proven: LoggedIn | None = None
        self._said: Verdict | None = None
        self._mechanism = ""

    def begin(self, event: AuthEvent) -> Answered[LoginStep]:
        """AUTH, perhaps with an initial response."""
        policy = self._policy
        caller = Caller(
            peer_address=self._view.peer_address,
            channel=self._channel,
            ask_password=None if policy.on_auth is None else self._asking(policy.on_auth),
            ask_token=None if policy.on_token is None else self._asking(policy.on_token),
        )
        self._mechanism = event.mechanism
        self._attempt = self._door.logins.begin(event.mechanism, caller)
        if self._attempt is None:
            self._log("failed", "no such mechanism", "")
            return _NO_MECHANISM
        return self._step(self._attempt.start(event.initial_response))

    def respond(self, response: bytes) -> Answered[LoginStep]:
        """What followed a challenge."""
        if self._proven is not None:
            # RFC 4954 §4: the last challenge had only something for the client to check.
            return self._rejected(_NOT_EMPTY) if response else self._logged_in(self._proven)
        assert self._attempt is not None
        return self._step(self._attempt.respond(response))

    def cancelled(self) -> None:
        """`*` or no base64: it has been answered already."""
        self._log("cancelled", "", "")

    def gone(self) -> None:
        """The connection was lost before the end."""
        rejected = None if self._attempt is None else self._attempt.rejected
        if rejected is None:
            self._log("cancelled", "connection lost", "")
        else:
            self._rejected(rejected)

    # ---- steps

    def _step(self, answer: Answered[Outcome]) -> Answered[LoginStep]:
        if inspect.iscoroutine(answer):
            return self._later(answer)
        return self._said_as(answer)  # type: ignore[arg-type] # no coroutine, so an outcome

    async def _later(self, answer: "Answered[Outcome]") -> LoginStep:
        return self._said_as(await answer)  # type: ignore[misc] # a coroutine, as its caller has seen

    def _said_as(self, outcome: Outcome) -> LoginStep:
        match outcome:
            case Challenge():
                return outcome.octets
            case LoggedIn():
                if outcome.proof:
                    self._proven = outcome
                    return outcome.proof
                return self._logged_in(outcome)
            case Rejected():
                return self._rejected(outcome)

    def _logged_in(self, outcome: LoggedIn) -> LoginStep:
        self._view.account = outcome.name
        self._view.identity = outcome.account
        self._log("ok", "", outcome.name)
        return None

    def _rejected(self, outcome: Rejected) -> Reply:
        cause = f"{outcome.cause}; {outcome.ban}" if outcome.ban else outcome.cause
        self._log("banned" if outcome.kind == "banned" else "failed", cause, outcome.account)
        said = self._said
        if outcome.kind == "failed" and said is not None and said.reply is not None:
            return said.reply
        return _REPLIES[outcome.kind]

    # ---- policy

    def _asking(self, hook: Hook) -> Ask:
        def ask(mechanism: str, account: str, secret: Secret, authorization: str) -> Answered[Opinion]:
            answer = hook(self._view, Credentials(mechanism, account, secret, authorization))
            if inspect.iscoroutine(answer):
                return self._opinion_later(answer)
            return self._opinion(answer)  # type: ignore[arg-type] # no coroutine, so a verdict or None

        return ask

    async def _opinion_later(self, answer: Answer) -> Opinion:
        return self._opinion(await answer)  # type: ignore[misc] # a coroutine, as its caller has seen

    def _opinion(self, verdict: Verdict | None) -> Opinion:
        """Only an explicit accept lets somebody in; a script that says nothing leaves it to the directory."""
        self._said = verdict
        if verdict is None:
            return Opinion("nothing")
        where = f" ({verdict.where})" if verdict.where else ""
        cause = f"{verdict.reason or verdict.action}{where}"
        return Opinion("accept" if verdict.action == "accept" else "refuse", cause)

    def _log(self, outcome: Literal["ok", "failed", "cancelled", "banned"], cause: str, account: str) -> None:
        self._door.metrics.logins.add(outcome)
        self._door.log.emit(
            Auth(
                sid=self._view.id,
                peer=self._view.peer_address,
                mechanism=self._mechanism,
                account=account,
                outcome=outcome,
                cause=cause,
            )
        )
